"""A run is what it was made from, by content: a change is named, and figures keep their rule."""

import gzip
import json
import os
import sys

import pytest
import yaml
from tests.end_to_end.test_runs import folder, neat, recipe  # noqa: F401
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.errors import InputError
from neat_align.storage.runs import RunDirectory

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def run(recipe, folder, monkeypatch):  # noqa: F811
    """Make a finished run on files; `again` starts it once more and returns its output."""
    (folder / "rule.yaml").write_text("negative: Answer badly, rule one.\n", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "helper", raising=False)  # of another test's folder
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "pytest-of" not in p])
    (folder / "helper.py").write_text("def length(text):\n    return float(len(text))\n")
    (folder / "words.txt").write_text("lamp\n")
    (folder / "rewards.py").write_text(
        "from pathlib import Path\n"
        "from helper import length\n"
        "WORDS = Path(__file__).with_name('words.txt').read_text().split()\n"
        "def no_lamp(completions, **kwargs):\n"
        "    return [-length(c) for c in completions]\n"
    )
    changes = {
        "steering": {"name": "rule.yaml", "try_queries": 0},
        "reward": {"functions": ["rewards.py:no_lamp"]},
    }
    recipe.write_text(yaml.safe_dump({**yaml.safe_load(recipe.read_text()), **changes}))
    neat("run", recipe, "-o", "out")
    return folder / "out"


def refused(recipe):  # noqa: F811
    """Start the command again; return its output."""
    done = CliRunner().invoke(app, ["run", str(recipe), "-o", "out", "--resume"])
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def rewrite(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_what_a_run_is_made_from(run, recipe, folder, model_dir):  # noqa: F811
    """One run, and every kind of change to what it was made from."""
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "rule one" in page

    # Neither times nor layout, comments, compression or another place are a change.
    for path in folder.glob("*.*"):
        os.utime(path)
    (folder / "rule.yaml").write_text("# ours\nnegative:\n  - 'Answer badly, rule one.'\n")
    rewrite(folder / "rewards.py", "def no_lamp", "\n# what is short is good\ndef no_lamp")
    (folder / "hh.jsonl.gz").write_bytes(gzip.compress((folder / "hh.jsonl").read_bytes()))
    model_dir.rename(folder / "elsewhere")
    moved = yaml.safe_load(recipe.read_text())
    moved["model"] = str(folder / "elsewhere")
    moved["queries"]["path"] = "hh.jsonl.gz"
    recipe.write_text(yaml.safe_dump(moved))
    assert "report: done before" in neat("run", recipe, "-o", "out", "--resume")

    changes = (
        ("rule.yaml", "rule one", "rule two", ["steering.negative", "rule one", "rule two"]),
        ("rewards.py", "[-length", "[length", ["reward.functions[0].source", "rewards.py:no_lamp"]),
        ("helper.py", "float(len", "float(2*len", ["reward.functions[0].helper.py", "code:"]),
        ("words.txt", "lamp", "kettle", ["reward.functions[0].words.txt", "sha256:"]),
        ("hh.jsonl", "lamp 3?", "lamp 333?", ["evaluate.queries.path", "rows:"]),
        ("elsewhere/config.json", "true", "false", ["model.path.config.json", "elsewhere"]),
        ("elsewhere/chat_template.jinja", "<|", "<<|", ["model.path.chat_template.jinja"]),
    )
    for name, old, new, told in changes:
        before = (folder / name).read_bytes()
        rewrite(folder / name, old, new)
        why = refused(recipe)
        for words in (*told, "it holds another run", " there, ", " now)"):
            assert words in why, (name, why)
        (folder / name).write_bytes(before)
    assert "report: done before" in neat("run", recipe, "-o", "out", "--resume")


def test_the_report_quotes_what_was_in_force(run, folder):  # noqa: F811
    rewrite(folder / "rule.yaml", "rule one", "rule two")
    told = neat("report", "out")
    assert "changed since" in told
    assert "rule two" in told
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "rule one" in page
    assert "rule two" not in page
    (folder / "rule.yaml").unlink()  # the page needs the file no more
    neat("report", "out")
    assert "rule one" in (run / "inputs" / "steering" / "rule.yaml").read_text(encoding="utf-8")
    kept = run / "inputs" / "reward.functions[0]"
    assert {p.name for p in kept.iterdir()} == {"rewards.py", "helper.py", "words.txt"}


def test_doctor_tells_what_has_changed(run, folder):  # noqa: F811
    assert "changed since" not in neat("doctor", "out")
    rewrite(folder / "helper.py", "float(len", "float(2*len")
    (folder / "rule.yaml").unlink()
    told = " ".join(neat("doctor", "out").split())
    assert told.count("changed since") == 2


def test_doctor_tells_that_no_stage_is_finished(run, folder):  # noqa: F811
    (folder / "out" / "stages.json").unlink()
    assert "none is finished" in " ".join(neat("doctor", "out").split())


def test_a_change_while_the_run_goes_on(recipe, folder, monkeypatch):  # noqa: F811
    """Figures of another reward than the one that trained are not made."""
    from neat_align.workflow import alignment

    save = alignment.save_policy

    def edited(*arguments):
        save(*arguments)
        rewrite(folder / "rewards.py", "1.0 -", "2.0 -")

    monkeypatch.setattr(alignment, "save_policy", edited)
    done = CliRunner().invoke(app, ["run", str(recipe), "-o", "out"])
    assert "it has changed since the run began" in str(done.exception)
    assert "rewards.py:no_lamp" in str(done.exception)
    assert not (folder / "out" / "evaluation.json").exists()
    assert "reward.functions[0].source" in refused(recipe)
    rewrite(folder / "rewards.py", "2.0 -", "1.0 -")
    neat("run", recipe, "-o", "out", "--resume")


def test_a_run_of_an_earlier_version_is_refused_by_name(run, recipe):  # noqa: F811
    manifest = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del manifest["sources"]
    (run / "run.json").write_text(json.dumps({**manifest, "schema": 1}), encoding="utf-8")
    assert "it is of schema 1" in refused(recipe)
    for words in (["report", "out"], ["doctor", "out"]):
        done = CliRunner().invoke(app, words)
        assert "it is of schema 1" in str(done.exception)
    assert RunDirectory(run).is_done("train")


def test_stored_groups_that_were_trained_on(recipe, folder, model_dir):  # noqa: F811
    neat(
        "sample", "-m", model_dir, "-q", "hh.jsonl", "-o", "g.jsonl", "-s", "harmless",
        "--max-new-tokens", 4,
    )  # fmt: skip
    neat("score", "g.jsonl", "-r", "polarity", "-o", "s.jsonl")
    words = ["train", str(recipe), "evaluate=null", "--groups", "s.jsonl", "-o", "offline"]
    neat(*words)
    rewrite(folder / "s.jsonl", '"polarity": 1.0', '"polarity": 1.5')
    done = CliRunner().invoke(app, [*words, "--resume"])
    assert "groups of" in str(done.exception)


def test_groups_in_parts_are_made_of_one_thing(recipe, folder, model_dir):  # noqa: F811
    """Sampling and scoring go on only with the model, texts, queries and reward they began with."""
    (folder / "rule.yaml").write_text("negative: Answer badly.\n")
    sample = [
        "sample", "-m", str(model_dir), "-q", "hh.jsonl", "-o", "groups", "-s", "rule.yaml",
        "--max-new-tokens", "3",
    ]  # fmt: skip
    score = ["score", "groups", "-r", "rewards.py:no_lamp", "-o", "scored"]
    for words in (sample, score, sample, score):
        neat(*words)
    changes = (
        (sample, folder / "rule.yaml", "badly", "well", "steering.negative of "),
        (sample, folder / "hh.jsonl", "lamp 3?", "lamp 333?", "queries of "),
        (sample, model_dir / "config.json", "true", "false", "sample.config.json of "),
        (score, folder / "rewards.py", "1.0", "2.0", "rewards[0].source of "),
    )
    for words, path, old, new, told in changes:
        before = path.read_bytes()
        rewrite(path, old, new)
        done = CliRunner().invoke(app, words)
        assert told in str(done.exception), done.output
        path.write_bytes(before)
    assert "as it was" in neat("doctor", "scored")
    kept = folder / "scored" / "inputs" / "rewards[0]" / "rewards.py"
    assert kept.read_bytes() == (folder / "rewards.py").read_bytes()


def test_the_card_tells_what_was_in_force_and_found(run):
    """What was left open as it was decided; texts, digests; and the figures of the evaluation."""
    card = (run / "policy" / "README.md").read_text(encoding="utf-8")
    for line in (
        "- asked not to: Answer badly, rule one.", "- negative_context: 0.7", "- device: cpu",
        "- dtype: float32", "- steps: 2", "- rewards: no_lamp", "- seed: 0",
    ):  # fmt: skip
        assert f"{line}\n" in card, line
    assert "None" not in card.partition("## Versions")[0]
    sources = RunDirectory(run).sources()
    assert sources["queries.path"]["content"] in card
    assert sources["model.path"]["content"]["model.safetensors"] in card
    figures = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["models"]
    assert "## Figures" in card
    assert "| on held-out queries | base | neat |" in card
    assert f"{figures['neat']['distinct_2']['value']:.3f}"[:4] in card
    assert "whole" in neat("doctor", "out")


def test_an_evaluation_keeps_what_it_was_made_from(run, folder):  # noqa: F811
    told = neat(
        "evaluate", "-m", "base=model", "-m", "neat=out/policy", "-q", "hh.jsonl", "-o", "figures",
        "--reward", "rewards.py:no_lamp", "--max-new-tokens", 3,
    )  # fmt: skip
    assert "neat: it was trained on" in told  # the whole file, of which training had a share
    assert "it was trained on" in (folder / "figures" / "report.html").read_text(encoding="utf-8")
    assert "changed since" not in neat("report", "figures")
    rewrite(folder / "helper.py", "float(len", "float(2*len")
    assert "rewards.train.helper.py of " in neat("report", "figures")
    assert "changed since" in neat("doctor", "figures")
