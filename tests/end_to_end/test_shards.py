"""Sampling and scoring in shards through the command line, killed for real."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.end_to_end.test_runs import neat

from neat_align.cli import main
from neat_align.data import load_groups, save_groups

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
POLITE = ("-s", "polite", "--max-new-tokens", 4)
SAMPLE = (*POLITE, "--positive", 1, "--negative", 1, "--plain", 0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(600)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[:20]))
    (tmp_path / "r.py").write_text(
        "def short(completions, **kwargs):\n    return [-float(len(c)) for c in completions]\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.glob("*.parquet")}


def test_a_killed_shard_goes_on_and_ends_as_if_nothing_had_been(folder, model_dir):
    command = ["sample", "-m", model_dir, "-q", "q.jsonl", *SAMPLE, "-o"]
    neat(*command, "whole")
    expected = contents(folder / "whole")
    assert len(expected) == 3
    words = [sys.executable, "-m", "neat_align", *map(str, command), "killed"]
    process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 600
    while not contents(folder / "killed") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = contents(folder / "killed")
    assert 0 < len(before) < 3
    assert "the others were there" in neat(*command, "killed")
    assert contents(folder / "killed") == expected
    assert "(0 groups" in neat(*command, "killed")


def test_shards_are_sampled_scored_and_counted_apart(folder, model_dir):
    for index in range(3):
        neat(
            "sample", "-m", model_dir, "-q", "few.jsonl", *SAMPLE, "-o", "groups",
            "--num-shards", 3, "--shard-index", index,
        )  # fmt: skip
    neat("sample", "-m", model_dir, "-q", "few.jsonl", *SAMPLE, "-o", "at_once.jsonl")
    by_id = {g.query.id: g for g in load_groups(folder / "at_once.jsonl")}
    sharded = {g.query.id: g for g in load_groups(folder / "groups")}
    assert sharded == by_id
    for index in range(2):
        told = neat(
            "score", "groups", "-r", "r.py:short", "-o", "scored", "--min-gap", 1, "--drop",
            "duplicate", "--num-shards", 2, "--shard-index", index,
        )  # fmt: skip
    assert "written" in told
    scored = load_groups(folder / "scored")
    assert all(max(g.scores) - min(g.scores) >= 1 for g in scored)
    assert {g.query.id for g in scored} <= set(by_id)
    stats = json.loads(neat("dataset", "stats", "scored", "--json"))
    assert len(contents(folder / "scored")) == 3
    neat("dataset", "export", "scored", "exported")
    card = (folder / "exported" / "README.md").read_text()
    assert '"r.py:short"' in card
    assert '"max_new_tokens": 4' in card
    assert "left out: responses" in card or "left out: groups" in card
    assert str(folder) not in card
    assert stats["groups"] == stats["scored"] == len(scored)
    assert "negative" in neat("dataset", "stats", "scored")


def test_scoring_goes_on_beside_sampling_and_counts_all_that_it_left_out(folder, model_dir):
    shard = ("sample", "-m", model_dir, "-q", "few.jsonl", *SAMPLE, "-o", "groups")
    shard = (*shard, "--num-shards", 2, "--shard-index")
    score = ("score", "groups", "-r", "r.py:short", "-o", "scored", "--min-gap", 5)
    neat(*shard, 0)
    assert "shard 1 of 2 is not finished" in neat(*score)
    assert "shard 1 of 2 is not finished" in neat("dataset", "stats", "scored")
    neat(*shard, 1)
    told = neat(*score)
    assert "not finished" not in told
    kept = len(load_groups(folder / "scored"))
    assert 0 < kept < 20
    assert f"left out: {20 - kept} groups without a gap above 5" in " ".join(told.split())
    stats = json.loads(neat("dataset", "stats", "scored", "--json"))
    assert stats["left_out"] == {"groups without a gap above 5": 20 - kept}
    assert stats["unfinished"] == []


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run a command that must be refused before a model is loaded; return the message."""

    def run(*arguments):
        monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", None)
        monkeypatch.setattr(sys, "argv", ["neat", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    return run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("-o", "groups", "--seed", 1), "seed (0 there, 1 now)"),
        (("-o", "groups", "--num-shards", 2), "shards (1 there, 2 now)"),
        (("-o", "new", "--num-shards", 2, "--shard-index", 2), "numbered from 0"),
        (("-o", "g.parquet", "--num-shards", 2), "shards need a directory"),
        (("-o", "few.jsonl"), "it exists"),
    ],
)
def test_an_output_that_does_not_fit_is_refused(folder, model_dir, refused, change, message):
    command = ("sample", "-m", model_dir, "-q", "few.jsonl", *SAMPLE)
    neat(*command, "-o", "groups")
    before = contents(folder / "groups")
    assert message in refused(*command, *change)
    assert contents(folder / "groups") == before
    assert not (folder / "new").exists()


def test_a_directory_is_not_scored_into_a_file(folder, model_dir, refused):
    neat("sample", "-m", model_dir, "-q", "few.jsonl", *SAMPLE, "-o", "groups")
    told = refused("score", "groups", "-r", "r.py:short", "-o", "s.parquet")
    assert "name the output alike" in told


def test_parts_of_another_content_are_not_gone_on_with(folder, model_dir, refused):
    command = ("sample", "-m", model_dir, "-q", "few.jsonl", *SAMPLE, "-o", "groups")
    neat(*command)
    score = ("score", "groups", "-r", "r.py:short", "-o", "scored")
    neat(*score)
    (folder / "few.jsonl").write_text('{"prompt": "another one"}\n')
    assert "queries of " in refused(*command)
    (part,) = (folder / "groups").glob("*.parquet")
    save_groups(part, load_groups(part)[1:])
    assert "made of another" in refused(*score)


def test_rows_that_are_none_are_told_before_a_model_is_loaded(folder, model_dir, refused):
    (folder / "bad.jsonl").write_text('{"prompt": "a"}\n{"x": 1}\n{"y": 2}\n')
    told = refused("sample", "-m", model_dir, "-q", "bad.jsonl", *SAMPLE, "-o", "d")
    assert "line 2" in told
    assert "line 3" in told
    assert not (folder / "d").exists()
