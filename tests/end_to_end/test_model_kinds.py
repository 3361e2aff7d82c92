"""Adapters and 16 bit by command line: run, resume, sample, evaluate, train on, compare."""

import json

import pytest
import yaml
from tests.end_to_end.test_runs import folder, neat  # noqa: F401
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.recipe import load_recipe
from neat_align.study import work
from neat_align.study.plan import plan_grid
from neat_align.study.units import cells
from neat_align.workflow.pipeline import run_recipe

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def recipe(folder, model_dir):  # noqa: F811
    (folder / "length.py").write_text(
        "def score(completions, **kwargs):\n    return [float(len(c)) for c in completions]\n"
    )
    content = {
        "model": {"path": str(model_dir)},
        "queries": {"path": "hh.jsonl", "share": [0, 0.7]},
        "steering": {"negative": "Answer badly.", "try_queries": 0},
        "sample": {"positive": 1, "negative": 1, "plain": 0, "max_new_tokens": 4},
        "reward": {"functions": ["length.py:score"]},
        "objective": {"name": "neat", "min_gap": 0.0},
        "train": {"max_steps": 1, "learning_rate": 1e-2, "use_cpu": True, "lora": {"r": 4}},
        "evaluate": {"queries": {"path": "hh.jsonl", "share": [0.7, 1]}},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_adapter_is_a_model_wherever_one_is_named(recipe, folder):  # noqa: F811
    told = neat("run", recipe, "-o", "out", "train.merge_adapter=false")
    assert "device cpu, float32" in told
    out = folder / "out"
    assert (out / "policy" / "adapter_model.safetensors").exists()
    assert not (out / "policy" / "model.safetensors").exists()
    assert "# A model aligned" in (out / "policy" / "README.md").read_text()
    results = json.loads((out / "results.json").read_text())["models"]
    assert results["neat"]["kl"] != 0
    told = neat("run", recipe, "-o", "out", "train.merge_adapter=false", "--resume")
    assert "train: done before" in told
    assert "whole" in neat("doctor", "out")
    limit = ("--max-new-tokens", 4)
    neat("sample", "-m", "out/policy", "-q", "hh.jsonl", "-o", "g.jsonl", "-s", "polite", *limit)
    neat("evaluate", "-m", "neat=out/policy", "-q", "hh.jsonl", "-o", "e", *limit)
    # Trained on, and saved as a whole model.
    more = ["model.path=out/policy", "train.lora=null", "evaluate=null"]
    neat("run", recipe, "-o", "more", *more)
    assert (folder / "more" / "policy" / "model.safetensors").exists()
    done = CliRunner().invoke(app, ["run", str(recipe), "-o", "no", "model.path=out/policy"])
    assert "train.lora" in str(done.exception)


def test_run_and_compare_evaluate_in_one_precision(recipe, folder):  # noqa: F811
    """Bfloat16, which shows any difference: the same figures to the last bit."""
    shares = "compare={development: {queries: {path: hh.jsonl, share: [0.7, 0.85]}}}"
    asked = ["model.dtype=bfloat16", "train.lora=null", "evaluate.queries.share=[0.85, 1]", shares]
    grid = plan_grid(load_recipe(recipe, asked), ["neat"], [0], 1)
    store = work.compare(grid, folder / "grid")
    (cell,) = (cell for cell in cells(grid, store) if cell.split == "test")
    compared = json.loads((store.cell(cell) / "result.json").read_text())["figures"]
    alone = run_recipe(cell.recipe, folder / "alone")["models"]["neat"]
    for figure in ("reward_train", "distinct_2", "mean_length", "kl"):
        assert compared[figure]["value"] == alone[figure], figure
