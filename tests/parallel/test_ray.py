"""Shards on a real Ray cluster, of this machine's own."""

import json
import subprocess
import sys

import pytest

SAMPLE = (
    "-s", "harmless", "--max-new-tokens", "4", "--positive", "1", "--negative", "1", "--plain", "0",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(60)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "r.py").write_text(
        "def short(completions, **kwargs):\n    return [-float(len(c)) for c in completions]\n"
        "def broken(completions, **kwargs):\n    raise ZeroDivisionError('by the user')\n"
    )
    return tmp_path


def neat(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "neat_align", *map(str, words)],
        cwd=folder, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def parts(directory):
    return {path.name: path.read_bytes() for path in directory.glob("shard-*")}


@pytest.mark.nightly
def test_a_cluster_writes_what_one_machine_writes(folder, model_dir):
    pytest.importorskip("ray.data")
    sample = ("sample", "-m", model_dir, "-q", "q.jsonl", *SAMPLE, "--num-shards", 3)
    on_ray = ("--ray", "local", "--ray-workers", 2)
    for index in range(3):
        neat(folder, *sample, "-o", "here", "--shard-index", index)
    done = neat(folder, *sample, "-o", "there", *on_ray)
    assert done.returncode == 0, done.stderr
    assert len(parts(folder / "here")) == 6  # three parts, three marks
    assert parts(folder / "there") == parts(folder / "here")
    again = neat(folder, *sample, "-o", "there", *on_ray)
    assert again.stdout.count("0 groups, the others were there") == 3

    score = ("score", "here", "--min-gap", 3, "--num-shards", 2)
    for index in range(2):
        here = neat(folder, *score, "-r", "r.py:short", "-o", "s_here", "--shard-index", index)
        assert here.returncode == 0, here.stderr
    there = neat(folder, *score, "-r", folder / "r.py:short", "-o", "s_there", *on_ray)
    assert there.returncode == 0, there.stderr
    assert parts(folder / "s_there") == parts(folder / "s_here")
    assert "left out" in there.stdout

    wrong = neat(folder, *score, "-r", folder / "r.py:broken", "-o", "wrong", *on_ray)
    assert wrong.returncode == 2
    assert "ZeroDivisionError" in wrong.stderr
    assert "Traceback" not in wrong.stderr.rpartition("error:")[2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ray", "auto", "--num-shards", 2, "--ray-workers", 4), "--num-shards 16"),
        (("--ray", "auto", "--num-shards", 2, "--shard-index", 1), "leave the index out"),
        (("--ray-workers", 4), "give --ray, too"),
    ],
)
def test_options_that_do_not_fit(folder, model_dir, words, told):
    done = neat(folder, "sample", "-m", model_dir, "-q", "q.jsonl", *SAMPLE, "-o", "out", *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (folder / "out").exists()
