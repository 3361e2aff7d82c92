"""A recipe that measures held-out queries while it trains, and keeps the best."""

import json

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.errors import InputError, SeveralErrors

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def recipe(tmp_path, model_dir):
    for name, verb in (("train", "clean"), ("held_out", "wash"), ("test", "dry")):
        rows = ({"prompt": f"how do I {verb} lamp {i}?"} for i in range(4))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "rewards.py").write_text(
        "def short(completions, **kwargs):\n    return [-float(len(c)) for c in completions]\n"
    )
    content = {
        "model": str(model_dir),
        "queries": {"path": "train.jsonl"},
        "steering": {"negative": "Answer badly.", "try_queries": 0},
        "sample": {"positive": 1, "negative": 1, "plain": 1, "max_new_tokens": 5},
        "reward": {"functions": ["rewards.py:short"]},
        "train": {
            "max_steps": 2, "learning_rate": 1e-2, "use_cpu": True, "eval_strategy": "steps",
            "eval_steps": 1, "save_strategy": "steps", "save_steps": 1,
            "load_best_model_at_end": True, "metric_for_best_model": "eval/reward",
        },
        "evaluate": {"queries": "test.jsonl", "during_training": "held_out.jsonl"},
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def neat(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_best_policy_by_held_out_rewards_is_kept(recipe, tmp_path):
    run = tmp_path / "run"
    done = neat("train", recipe, "-o", run)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (run / "train" / "metrics.jsonl").read_text().splitlines()]
    found = {row["step"]: row["eval/reward"] for row in rows if "eval/reward" in row}
    assert set(found) == {1, 2}
    best = max(found, key=found.get)
    kept = AutoModelForCausalLM.from_pretrained(run / "train" / f"checkpoint-{best}").state_dict()
    policy = AutoModelForCausalLM.from_pretrained(run / "policy").state_dict()
    assert all(torch.equal(policy[name], value) for name, value in kept.items())


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["evaluate.during_training=null"], ["no queries to evaluate on"]),
        (
            ["train.eval_strategy=no", "train.metric_for_best_model=null",
             "train.load_best_model_at_end=false", "train.eval_steps=null"],
            ["would not be looked at"],
        ),
        (["train.metric_for_best_model=eval/rewrd"], ["'eval/reward'"]),
        (["evaluate.during_training=train.jsonl"], ["during_training", "training queries too"]),
        (["evaluate.during_training=test.jsonl"], ["during_training", "chosen on what"]),
        (["evaluate.during_training=absent.jsonl"], ["during_training", "no such file"]),
        (["train.save_steps=2", "train.eval_steps=3"], ["train.load_best_model_at_end"]),
    ],
    ids=str,
)  # fmt: skip
def test_recipe_check_tells_what_is_missing(recipe, monkeypatch, overrides, words):
    monkeypatch.chdir(recipe.parent)
    done = neat("recipe", "check", recipe, *overrides)
    assert isinstance(done.exception, InputError), done.output
    error = done.exception
    text = "\n".join(map(str, error.errors if isinstance(error, SeveralErrors) else [error]))
    assert all(word in text for word in words), text


def test_data_too_small_for_a_batch_is_told_before_the_model(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("neat_align.models.load_causal_lm", lambda *_: pytest.fail("loaded"))
    words = ["train.dataloader_drop_last=true", "train.per_device_train_batch_size=8"]
    done = neat("train", recipe, *words, "-o", tmp_path / "run")
    assert "nothing would be trained on" in str(done.exception)
