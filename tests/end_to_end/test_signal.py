"""A rule of one's own, through the command line: the reward teaches, or it is said that it cannot.

The model is random and tiny: what is tested is that a rule that is either kept or broken
reaches the loss, and that a reward which says nothing stops the work.
"""

import json

import pytest
import yaml
from typer.testing import CliRunner

from neat_align.cli import app

pytestmark = pytest.mark.filterwarnings("ignore")
REWARDS = '''
def no_lists(completions, **kwargs):
    """1 for an answer without a list, 0 for one: the rule is kept or broken."""
    return [0.0 if any(mark in text for mark in "ab") else 1.0 for text in completions]

def graded(completions, **kwargs):
    """Between 0 and 1, in steps of 0.1."""
    return [max(0.0, 1.0 - 0.1 * len(text.split())) for text in completions]

def constant(completions, **kwargs):
    return [0.5] * len(completions)
'''


def neat(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path, monkeypatch, model_dir):
    rows = [{"prompt": f"what is in shop {i}?"} for i in range(12)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "r.py").write_text(REWARDS)
    recipe = {
        "model": str(model_dir),
        "queries": "q.jsonl",
        "steering": {
            "name": "no-lists", "negative": "Answer with a list.", "try_queries": 0,
        },
        "sample": {"max_new_tokens": 3},
        "reward": {"functions": ["r.py:no_lists"]},
        "train": {
            "max_steps": 3, "learning_rate": 1e-3, "use_cpu": True, "save_strategy": "no",
            "per_device_train_batch_size": 4,
        },
    }  # fmt: skip
    (tmp_path / "rule.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("reward", ["no_lists", "graded"])
def test_a_rule_of_ones_own_is_ranked_by(folder, reward):
    done = neat("run", "rule.yaml", "-o", "out", f"reward.functions=[r.py:{reward}]")
    assert done.exit_code == 0, done.output
    rows = [json.loads(x) for x in (folder / "out/train/metrics.jsonl").read_text().splitlines()]
    assert any(row["loss/rank"] > 0 for row in rows)
    assert any(row["signal/usable"] > 0 for row in rows)
    assert (folder / "out/policy").exists()


def test_a_reward_without_a_signal_leaves_no_policy(folder):
    done = neat("run", "rule.yaml", "-o", "out", "reward.functions=[r.py:constant]")
    assert done.exit_code != 0
    assert "scored alike" in str(done.exception)
    assert not (folder / "out/policy").exists()


def test_the_figures_are_told_before_training_and_stored_groups_refused(folder, model_dir):
    neat("sample", "-m", model_dir, "-q", "q.jsonl", "-o", "g.jsonl", "--max-new-tokens", 3,
         "-s", "harmless")  # fmt: skip
    told = neat("score", "g.jsonl", "-r", "r.py:no_lists", "-o", "s.jsonl").output
    assert "groups with a usable pair: " in told
    assert "negative responses that score below the plain ones: " in told
    stats = neat("dataset", "stats", "s.jsonl", "--json").output
    signal = json.loads(stats)["signal"]
    assert 0 < signal["signal/usable"] <= 1
    assert set(signal) > {"signal/spread", "negatives/below_plain", "spread/plain"}
    assert neat("dataset", "stats", "g.jsonl").exit_code == 0  # not scored
    told = neat("score", "g.jsonl", "-r", "r.py:constant", "-o", "c.jsonl")
    assert "training on these groups is refused" in told.output
    assert told.exit_code == 0
    told = neat("score", "g.jsonl", "-r", "r.py:constant", "-o", "none.jsonl", "--min-gap", 0)
    assert "left out: 12 groups without a gap above 0" in told.output
    assert "no group is left" in told.output
    assert told.exit_code == 0
    done = neat("train", "rule.yaml", "model=absent", "--groups", "c.jsonl", "-o", "offline")
    assert done.exit_code != 0
    assert not (folder / "offline").exists()
