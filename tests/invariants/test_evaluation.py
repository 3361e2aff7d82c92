"""Evaluation during training: it measures the policy, and disturbs nothing."""

import json
import shutil

import pytest
import torch
from tests.conftest import stable_id
from tests.trainers import (
    assert_same,
    config,
    length_reward,
    rows,
    stored_groups,
    trainer_of,
    weights,
)
from transformers import EarlyStoppingCallback, TrainerCallback

from neat_align.errors import DataError, InputError, TrainingError
from neat_align.objectives import DPO, KTO, NEAT, RRHF
from neat_align.training.group_source import Stored
from neat_align.training.measured import logged_name, trainer_name
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Query

STEPS = {"eval_strategy": "steps", "eval_steps": 2, "lr_scheduler_type": "linear"}


@pytest.fixture
def held_out():
    return [Query.from_text(f"how do I wash the {thing}?") for thing in ("cup", "shoe", "cup rack")]


def evaluations(path):
    return [row for row in rows(path) if any(name.startswith("eval/") for name in row)]


def test_held_out_queries_are_sampled_scored_and_logged(
    tmp_path, tokenizer, steering, queries, held_out
):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, eval_dataset=held_out, **STEPS)
    trainer.train()
    found = evaluations(tmp_path)
    assert [row["step"] for row in found] == [2, 4]
    wanted = {"reward", "reward/negative", "reward/positive", "loss", "loss/rank", "kl", "empty"}
    for row in found:
        assert {f"eval/{name}" for name in wanted} <= set(row)
    history = [row for row in trainer.state.log_history if "eval/reward" in row]
    assert [row["eval/reward"] for row in history] == [row["eval/reward"] for row in found]
    assert found[0]["eval/kl"] != found[1]["eval/kl"]


def test_an_evaluation_is_what_is_made_of_the_same_groups_by_hand(
    tmp_path, tokenizer, steering, queries
):
    """Stored groups: the loss is the training's own at the first step."""
    groups = stored_groups(tokenizer, queries, steering)
    settings = {"per_device_train_batch_size": 6, "max_steps": 1, "negative_context": 0.5}
    trainer = trainer_of(
        tmp_path, tokenizer, steering, groups, DPO(), eval_dataset=groups, **settings
    )
    before = trainer.evaluate()
    trainer.train()
    first = rows(tmp_path)[-1]
    assert before["eval_loss"] == pytest.approx(first["loss"], abs=1e-4)
    assert before["eval_kl"] == pytest.approx(0, abs=1e-5)
    assert "eval_reward" not in before  # stored answers have the scores that they have


@pytest.mark.parametrize("objective", [NEAT(), KTO(), RRHF()], ids=lambda o: o.name)
def test_the_size_of_a_batch_changes_nothing(
    tmp_path, tokenizer, steering, queries, held_out, objective
):
    found = []
    for size in (1, 8):
        trainer = trainer_of(
            tmp_path / str(size), tokenizer, steering, queries, objective,
            eval_dataset=held_out, per_device_eval_batch_size=size,
        )  # fmt: skip
        calls = counted(trainer.maker.policy)
        found.append(trainer.evaluate())
        assert len(calls) == {1: 3, 8: 1}[size]
    for name, value in found[0].items():
        if "second" not in name and "runtime" not in name:
            assert found[1][name] == pytest.approx(value, abs=1e-4), name


def counted(sampler):
    calls = []
    draw = sampler.sample
    sampler.sample = lambda requests, decoding: calls.append(1) or draw(requests, decoding)
    return calls


def noisy_reward(completions, **kwargs):
    return [len(c) / 10 + torch.rand(()).item() for c in completions]


def test_evaluating_does_not_disturb_the_training(tmp_path, tokenizer, steering, queries, held_out):
    runs, logged = [], []
    for name, more in (("without", {}), ("with", {"eval_dataset": held_out, **STEPS})):
        trainer = trainer_of(
            tmp_path / name, tokenizer, steering, queries, reward_funcs=noisy_reward,
            **{"lr_scheduler_type": "linear", **more},
        )  # fmt: skip
        trainer.train()
        runs.append(weights(trainer))
        logged.append([row for row in rows(tmp_path / name) if "loss" in row])
        assert trainer.maker.responses == 4 * 2 * 4  # those of the evaluation do not count
    assert_same(*runs, rtol=0, atol=0)
    plain = [[{k: v for k, v in r.items() if "second" not in k} for r in log] for log in logged]
    assert plain[0] == plain[1]


def test_a_resumed_run_evaluates_as_the_uninterrupted_one(
    tmp_path, tokenizer, steering, queries, held_out
):
    settings = {**STEPS, "eval_dataset": held_out, "max_steps": 4, "save_strategy": "steps",
                "save_steps": 2, "eval_steps": 1}  # fmt: skip
    whole = trainer_of(tmp_path / "whole", tokenizer, steering, queries, **settings)
    whole.train()
    (tmp_path / "cut").mkdir()
    for name in ("checkpoint-2", "metrics.jsonl"):
        source = tmp_path / "whole" / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / "cut" / name)
    resumed = trainer_of(tmp_path / "cut", tokenizer, steering, queries, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-2"))
    assert_same(weights(whole), weights(resumed), rtol=0, atol=0)
    timeless = [
        [{k: v for k, v in r.items() if "second" not in k and "runtime" not in k} for r in found]
        for found in (rows(tmp_path / "whole"), rows(tmp_path / "cut"))
    ]
    assert timeless[0] == timeless[1]


class Scripted:
    """A reward that depends on the step alone: best at step 2."""

    name = "scripted"

    def __init__(self):
        self.step, self.rewards = 0, {1: 0.0, 2: 5.0, 3: 1.0, 4: 0.5}

    def score(self, groups):
        return [[self.rewards.get(self.step, 0.0) + i for i, _ in enumerate(g.responses)]
                for g in groups]  # fmt: skip


class Steps(TrainerCallback):
    def __init__(self, reward):
        self.reward = reward

    def on_step_end(self, args, state, control, **kwargs):
        self.reward.step = state.global_step


@pytest.mark.parametrize("metric", ["eval/reward", "eval_reward", "reward"])
def test_the_best_checkpoint_is_loaded_at_the_end(
    tmp_path, tokenizer, steering, queries, held_out, metric
):
    reward = Scripted()
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=reward, eval_dataset=held_out,
        callbacks=[Steps(reward)], eval_strategy="steps", eval_steps=1, save_strategy="steps",
        save_steps=1, save_total_limit=1, load_best_model_at_end=True,
        metric_for_best_model=metric,
    )  # fmt: skip
    kept = {}

    class Keep(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            kept[state.global_step] = weights(trainer)

    trainer.add_callback(Keep())
    trainer.train()
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-2")
    assert_same(weights(trainer), kept[2], rtol=0, atol=0)
    assert any(not torch.equal(kept[4][name], kept[2][name]) for name in kept[2])
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]


def test_save_strategy_best_keeps_the_best(tmp_path, tokenizer, steering, queries, held_out):
    reward = Scripted()
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=reward, eval_dataset=held_out,
        callbacks=[Steps(reward)], eval_strategy="steps", eval_steps=1, save_strategy="best",
        metric_for_best_model="eval/reward",
    )  # fmt: skip
    trainer.train()
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-1", "checkpoint-2"}


def test_training_stops_early_when_nothing_gets_better(
    tmp_path, tokenizer, steering, queries, held_out
):
    reward = Scripted()
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=reward, eval_dataset=held_out,
        callbacks=[Steps(reward), EarlyStoppingCallback(1)], eval_strategy="steps", eval_steps=1,
        metric_for_best_model="eval/reward", max_steps=10,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 3


@pytest.mark.parametrize(
    ("metric", "better"),
    [("eval/kl", False), ("eval/loss", False), ("loss/rank", False), ("eval/reward", True)],
)
def test_what_is_better_is_known(tmp_path, metric, better):
    settings = {"eval_strategy": "steps", "metric_for_best_model": metric}
    assert config(tmp_path, **settings).greater_is_better is better
    assert (
        config(tmp_path, greater_is_better=not better, **settings).greater_is_better is not better
    )


def test_a_plateau_of_rewards_is_one_of_the_highest(tmp_path):
    settings = {"eval_strategy": "steps", "lr_scheduler_type": "reduce_lr_on_plateau"}
    rising = config(tmp_path, metric_for_best_model="eval/reward", **settings)
    assert rising.lr_scheduler_kwargs == {"mode": "max"}
    assert config(tmp_path, **settings).lr_scheduler_kwargs == {"mode": "min"}


def test_several_sets_are_told_apart(tmp_path, tokenizer, steering, queries, held_out):
    groups = stored_groups(tokenizer, queries[:2], steering)
    sets = {"easy": held_out[:1], "hard_ones": held_out[1:], "old": groups}
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, eval_dataset=sets, eval_on_start=True,
        metric_for_best_model="eval/hard_ones/reward", **STEPS,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.best_metric is not None
    row = evaluations(tmp_path)[0]
    assert row["step"] == 0
    names = {name for row in evaluations(tmp_path) for name in row}
    assert {"eval/easy/reward", "eval/hard_ones/reward", "eval/old/loss"} <= names
    found = trainer.evaluate(["a text", "another one"])
    assert found["eval/reward"] == found["eval_reward"]


def test_names_of_metrics():
    assert logged_name("eval_reward/positive", []) == "eval/reward/positive"
    assert logged_name("eval_a_b_loss", ["a", "a_b"]) == "eval/a_b/loss"
    assert trainer_name("eval/a_b/loss", ["a", "a_b"]) == "eval_a_b_loss"
    assert trainer_name("eval/reward/positive", []) == "eval_reward/positive"
    assert trainer_name("loss", []) == "loss"


def test_what_reward_functions_log_stands_beside_the_evaluation(
    tmp_path, tokenizer, steering, queries, held_out
):
    def reward(completions, log_metric=None, **kwargs):
        log_metric("long", sum(len(c) > 5 for c in completions) / len(completions))
        return length_reward(completions)

    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, reward_funcs=reward, eval_dataset=held_out, **STEPS
    )
    trainer.train()
    assert "eval/long" in evaluations(tmp_path)[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eval_strategy": "steps"}, "no held-out queries"),
        ({"eval_on_start": True}, "no held-out queries"),
        ({"eval_dataset": []}, "nothing to measure"),
        ({"eval_dataset": {}}, "nothing in it"),
        ({"eval_dataset": {"a": []}}, "nothing to measure"),
        ({"eval_dataset": 3}, "no collection of rows"),
        ({"eval_dataset": iter(["a"])}, "a stream"),
        ({"eval_dataset": "absent.jsonl"}, "no such file"),
        ({"eval_dataset": ["x"], "metric_for_best_model": "eval/rewrd", **STEPS}, "'eval/reward'"),
        (
            {"eval_dataset": {"a": ["x"], "b": ["y"]}, "metric_for_best_model": "reward", **STEPS},
            "eval/a/reward",
        ),
        ({"eval_dataset": ["x"], "callbacks": [EarlyStoppingCallback()]}, "none is watched"),
    ],
    ids=stable_id,
)
def test_what_an_evaluation_lacks_is_told_before(
    tmp_path, tokenizer, steering, queries, settings, words
):
    with pytest.raises(InputError, match=words):
        trainer_of(tmp_path, tokenizer, steering, queries, **settings)


def test_a_metric_that_is_not_measured_is_told(tmp_path, tokenizer, steering, queries, held_out):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, eval_dataset=held_out,
        metric_for_best_model="eval/politeness", **STEPS,
    )  # fmt: skip
    with pytest.raises(TrainingError, match="measures no such thing"):
        trainer.train()


def test_evaluating_nothing_is_told(tmp_path, tokenizer, steering, queries):
    trainer = trainer_of(tmp_path, tokenizer, steering, queries)
    with pytest.raises(DataError, match="no held-out"):
        trainer.evaluate()
    offline = trainer_of(
        tmp_path, tokenizer, steering, stored_groups(tokenizer, queries[:2], steering)
    )
    with pytest.raises(TrainingError, match="needs steering and rewards"):
        offline.evaluate(["a text"])


def test_stored_groups_train_and_queries_evaluate(tmp_path, tokenizer, steering, queries, held_out):
    groups = stored_groups(tokenizer, queries, steering)
    trainer = trainer_of(
        tmp_path, tokenizer, steering, groups, eval_dataset=held_out, steering_try_queries=2,
        **STEPS,
    )  # fmt: skip
    trainer.train()
    assert isinstance(trainer.source, Stored)
    assert trainer.steering_trial is None
    assert "eval/reward/negative" in evaluations(tmp_path)[-1]


def test_an_adapter_is_evaluated_and_the_best_one_loaded(
    tmp_path, tokenizer, steering, queries, held_out
):
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, eval_dataset=held_out, peft_config={"r": 4},
        eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
        load_best_model_at_end=True, metric_for_best_model="eval/reward",
    )  # fmt: skip
    trainer.train()
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["best_metric"] == max(row["eval/reward"] for row in evaluations(tmp_path))
    assert isinstance(trainer, NEATTrainer)
