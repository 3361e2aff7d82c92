"""A steering file of all three channels, through the command line, on a tiny random model."""

import json
import shutil

import pytest
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.data import load_groups
from neat_align.errors import NeatError, SteeringError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PAIR = {
    "positive": ["Be kind.", {"prefix": "the lamp"}],
    "negative": [
        {"prefix": "break"},
        {"turns": [{"user": "how do I clean?", "assistant": "break it"}], "system": "Be mean."},
        "Be mean.",
    ],
}


def neat(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch, model_dir):
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(6)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump(PAIR))
    (tmp_path / "rewards.py").write_text(
        "def brief(completions, **kwargs):\n    return [-float(len(c)) for c in completions]\n"
    )
    recipe = {
        "model": str(model_dir),
        "queries": "q.jsonl",
        "steering": "pair.yaml",
        "sample": {"negative": 2, "negative_channels": ["prefix", "turns"], "max_new_tokens": 6},
        "reward": {"functions": ["rewards.py:brief"]},
        "train": {"max_steps": 2, "learning_rate": 1e-3, "use_cpu": True, "save_steps": 1},
        "evaluate": {"queries": "held.jsonl", "heldout_reward": "polarity"},
    }
    (tmp_path / "held.jsonl").write_text('{"prompt": "how do I polish the kettle?"}\n')
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_groups_are_drawn_through_all_channels_and_scored(folder, model_dir, suffix):
    out = f"groups.{suffix}"
    sample = ("sample", "-m", model_dir, "-q", "q.jsonl", "-s", "pair.yaml", "--max-new-tokens", 6)
    neat(*sample, "-o", out, "--positive", 2, "--negative", 3)
    groups = load_groups(folder / out)
    for group in groups:
        negative = [r for r in group.responses if r.source == "negative"]
        assert {bool(r.prefix) + 2 * bool(r.turns) for r in negative} == {0, 1, 2}
        for response in group.responses:
            assert response.text.startswith(response.prefix)
            if response.prefix and response.finish == "length":
                assert len(response.token_ids) > 6  # the beginning, and what was drawn
    neat("score", out, "-r", "rewards.py:brief", "-o", f"scored.{suffix}")
    scored = load_groups(folder / f"scored.{suffix}")
    assert [r.prefix for r in scored[0].responses] == [r.prefix for r in groups[0].responses]
    assert all(r.score == -float(len(r.text)) for g in scored for r in g.responses)
    neat(*sample, "-o", f"named.{suffix}", "--negative-channels", "turns")
    named = [r for g in load_groups(folder / f"named.{suffix}") for r in g.responses]
    assert all(r.turns for r in named if r.source == "negative")
    told = neat("dataset", "show", out)
    assert "[answer begins: break]" in told


def test_a_pair_is_shown_and_tried_in_all_channels(folder, model_dir):
    assert "[answer begins: the lamp]" in neat("steering", "show", "pair.yaml")
    told = neat(
        *("steering", "try", "-m", model_dir, "-q", "q.jsonl", "-s", "pair.yaml"),
        *("-r", "rewards.py:brief", "-n", 2, "--max-new-tokens", 4, "-o", "tried.json"),
    )
    assert "negative through prefix" in told
    tried = json.loads((folder / "tried.json").read_text())
    assert {one["channel"] for one in tried["channels"]} == {"system", "turns", "prefix"}


def test_a_run_trains_on_channels_and_ends_alike_when_it_is_resumed(folder):
    neat("recipe", "check", "r.yaml")
    with pytest.raises(NeatError, match="no positive phrasing of that channel"):
        neat("recipe", "check", "r.yaml", "sample.positive_channels=[turns]")
    neat("run", "r.yaml", "-o", "whole", "--force")
    neat("run", "r.yaml", "-o", "halves", "--force", "train.max_steps=2")
    (weights,) = (folder / "whole").rglob("policy/model.safetensors")
    policy = weights.parent.relative_to(folder / "whole")
    again = folder / "halves"
    checkpoints = sorted(again.rglob("checkpoint-*"))
    assert [c.name for c in checkpoints][:1] == ["checkpoint-1"]
    shutil.rmtree(again / policy)
    for last in checkpoints[1:]:
        shutil.rmtree(last)
    neat("run", "r.yaml", "-o", "halves", "--force", "train.max_steps=2", "--resume")
    own, other = (load_file(at / policy / "model.safetensors") for at in (folder / "whole", again))
    assert all((own[name] == other[name]).all() for name in own)
    page = next((folder / "whole").rglob("report.html")).read_text()
    assert "[answer begins: break]" in page
    card = (weights.parent / "README.md").read_text()
    assert "asked not to: [answer begins: break]" in card
    trial = json.loads(next((folder / "whole").rglob("steering_trial.json")).read_text())
    assert {c["channel"] for c in trial["channels"] if c["source"] == "negative"} >= {"turns"}


def test_a_run_tries_the_steering_once_in_a_stage_of_its_own(folder, caplog):
    stopped = CliRunner().invoke(app, ["run", "r.yaml", "-o", "out"])  # a random model follows none
    assert isinstance(stopped.exception, SteeringError)
    assert "negative through prefix: " in stopped.output
    assert "negative '[answer begins: break]': " in stopped.output
    assert " groups split" in stopped.output
    kept = folder / "out" / "train" / "steering_trial.json"
    written = (kept.stat().st_mtime_ns, kept.read_bytes())
    told = neat("run", "r.yaml", "-o", "out", "--force", "--resume")
    assert "try the steering: done before" in told
    assert (kept.stat().st_mtime_ns, kept.read_bytes()) == written
    assert "going on as asked" in caplog.text
    neat("train", "r.yaml", "-o", "alone", "--force")  # which tries it when it has begun
    assert (folder / "alone" / "train" / "steering_trial.json").read_bytes() == written[1]
    own, other = (
        load_file(folder / run / "policy" / "model.safetensors") for run in ("out", "alone")
    )
    assert all((own[name] == other[name]).all() for name in own)


def test_answers_of_the_data_are_sampled_tried_and_trained_on(folder, model_dir, monkeypatch):
    rows = [
        {"prompt": f"how do I clean lamp {i}?", "chosen": "with a cloth", "rejected": "break it"}
        for i in range(6)
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pair = {"positive": [{"column": "chosen"}, "Be kind."], "negative": [{"column": "rejected"}]}
    (folder / "pair.yaml").write_text(yaml.safe_dump(pair))
    own = ("sample.negative=1", "sample.negative_channels=[column]", "train.negative_context=0")
    sample = ("sample", "-m", model_dir, "-q", "q.jsonl", "-s", "pair.yaml", "--max-new-tokens", 4)
    neat(*sample, "-o", "g.parquet", "--positive", 2)
    for group in load_groups(folder / "g.parquet"):
        taken = {(r.source, r.text, r.sampler) for r in group.responses if r.column}
        assert taken == {("positive", "with a cloth", "data"), ("negative", "break it", "data")}
    told = neat("run", "r.yaml", "-o", "out", "--force", *own)
    assert "[the data's rejected]" in told
    kept = load_file(folder / "out" / "policy" / "model.safetensors")
    assert any((kept[n] != w).any() for n, w in load_file(model_dir / "model.safetensors").items())
    (folder / "q.jsonl").write_text(json.dumps(rows[0]) + '\n{"prompt": "why?", "chosen": "So."}\n')
    for place in ("neat_align.models", "neat_align.sampling.job"):
        monkeypatch.setattr(f"{place}.load_causal_lm", None)  # told before a model is loaded
    for command in (("run", "r.yaml", *own), sample):
        with pytest.raises(NeatError, match="without an answer in the column 'rejected'"):
            neat(*command, "-o", "not")


def test_a_pair_of_prefixes_alone_runs_and_evaluates_without_negative_context(folder):
    (folder / "pair.yaml").write_text(yaml.safe_dump({"negative": [{"prefix": "break"}]}))
    own = ("sample.negative_channels=[prefix]", "train.negative_context=0")
    for context in (["train.negative_context=0.5"], []):  # NEAT suggests one
        for words in (["recipe", "check", "r.yaml"], ["run", "r.yaml", "-o", "x"]):
            with pytest.raises(NeatError, match="it puts a negative prompt before queries"):
                neat(*words, own[0], *context)
    with pytest.raises(NeatError, match=r"train\.negative_context='much'"):
        neat("recipe", "check", "r.yaml", own[0], "train.negative_context=much")
    neat("run", "r.yaml", "-o", "bare", "--force", *own)
    assert list((folder / "bare").rglob("report.html"))
