"""`neat compare` through the command line: two processes, a failing cell, resuming."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.errors import InputError
from neat_align.recipe import recipe_text

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SMALL = (
    "model.from_scratch.data.limit=600", "model.from_scratch.steps=20",
    "model.from_scratch.hidden_size=24", "model.from_scratch.layers=1",
    "model.from_scratch.intermediate_size=32",
    "reward.train.data.limit=80", "evaluate.heldout_reward.data.limit=80",
    "queries.limit=40", "evaluate.queries.limit=20", "compare.development.queries.limit=20",
    "evaluate.perplexity.limit=5", "train.max_steps=2", "train.per_device_train_batch_size=2",
)  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    content = yaml.safe_load(recipe_text("world"))
    content["compare"]["variants"] = {
        "leaky": {
            "overrides": ["reward.train.data.world.leaky=true"],
            "methods": ["neat"],
            "seeds": 1,
        },
        "broken": {
            "overrides": [f"reward={{functions: ['{tmp_path}/broken.py:explode']}}"],
            "methods": ["neat"],
            "seeds": 1,
        },
    }
    (tmp_path / "broken.py").write_text("def explode(completions, **kwargs):\n    1 / 0\n")
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def words(recipe, output, *options):
    methods = ("--methods", "base,kto,neat", "--seeds", "2", "--tune", "2")
    return ["compare", str(recipe), *SMALL, *methods, "--output", str(output), *options]


def compare(recipe, output, *options):
    return subprocess.run(
        [sys.executable, "-m", "neat_align", *words(recipe, output, *options)],
        capture_output=True, text=True, timeout=1800, check=False,
        env={**os.environ, "TQDM_DISABLE": "1"},
    )  # fmt: skip


def test_a_grid_with_two_workers_a_failure_and_a_resumption(recipe, tmp_path):
    output = tmp_path / "study"
    done = compare(recipe, output, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "min left" in done.stdout
    summary = json.loads((output / "comparison.json").read_text())
    main = summary["variants"]["main"]
    assert main["neat"]["seeds"] == main["kto"]["seeds"] == [0, 1]
    assert main["kto"]["differences"]["helpful"].keys() >= {"value", "low", "high", "p_holm"}
    assert main["neat"]["cost"]["responses"] == 32  # two steps of refresh_every=4 are drawn at once
    assert len(summary["tuning"]["neat"]) == 2
    broken = summary["variants"]["broken"]["neat"]
    assert broken["seeds"] == []
    assert "ZeroDivisionError" in broken["errors"][0]
    page = (output / "comparison.md").read_text()
    assert "**neat**: a cell failed: RewardError" in page
    assert (output / "harm_helpful.svg").exists()
    # A base and a held-out reward are shared by the two parts of the study.
    assert len(list((output / "models").glob("model-*/config.json"))) == 3
    refused = CliRunner().invoke(app, words(recipe, output))
    assert isinstance(refused.exception, InputError)
    assert "--resume" in str(refused.exception)

    cell = next((output / "cells").glob("test-neat-0-*/result.json"))
    written = {p: p.stat().st_mtime_ns for p in (output / "cells").glob("*/result.json")}
    unit = output / "units" / f"{cell.parent.name}.json"
    unit.unlink()  # as if the process had been killed in this cell
    again = CliRunner().invoke(app, words(recipe, output, "--resume"))
    assert again.exit_code == 0, again.output
    changed = [p for p, then in written.items() if p.stat().st_mtime_ns != then]
    assert changed == [cell]
    assert json.loads((output / "comparison.json").read_text())["variants"] == _but_cost(
        summary["variants"], json.loads((output / "comparison.json").read_text())["variants"]
    )


def _but_cost(before, after):
    """Take the earlier figures with the later seconds and memory, which may differ."""
    for name, table in before.items():
        for method, row in table.items():
            if "cost" in row:
                row["cost"] = after[name][method]["cost"]
    return before


def test_a_bad_grid_is_refused_before_anything_is_written(recipe, tmp_path):
    done = compare(recipe, tmp_path / "x", "--methods", "neat,dop", "--seeds", "1,1,1000")
    assert done.returncode == 2
    for message in ("did you mean 'dpo'", "seed 1 twice", "seed 1000 among the seeds"):
        assert message in done.stderr
    assert not (tmp_path / "x").exists()
