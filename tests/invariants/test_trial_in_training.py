"""The steering trial in training: it stops what it should, and leaves no trace in the rest."""

import json
import logging
import random

import pytest
import torch
from tests.conftest import make_llama
from tests.trainers import assert_same, trainer_of, weights

from neat_align.errors import RewardError, SteeringError
from neat_align.objectives import NEAT, SFT
from neat_align.prompts.steering import Steering
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.sampling.trial_result import TRIAL_FILE
from neat_align.types import Source

INVERTED = {Source.NEGATIVE: "lamp kettle", Source.POSITIVE: "lamp kettle cloth"}
RIGHT = {Source.NEGATIVE: "a", Source.POSITIVE: "lamp kettle cloth"}


def scripted(answers):
    return ScriptedSampler(lambda request: answers.get(request.source, "lamp"))


def trained(path, tokenizer, steering, queries, answers=None, **settings):
    if answers:
        settings["sampler"] = scripted(answers)
    settings = {"steering_try_queries": 4, "max_steps": 1, **settings}
    trainer = trainer_of(path, tokenizer, steering, queries, **settings)
    trainer.train()
    return trainer


def test_an_inverted_pair_stops_before_the_first_step(tmp_path, tokenizer, steering, queries):
    model = make_llama(tokenizer)
    before = {n: p.clone() for n, p in model.named_parameters()}
    with pytest.raises(SteeringError, match="negative side") as caught:
        trained(tmp_path, tokenizer, steering, queries, INVERTED, model=model)
    assert_same(before, dict(model.named_parameters()), rtol=0, atol=0)
    assert "lamp kettle" in caught.value.given
    for way_out in ("--force", "steering_force=True", "steering_try_queries", "neat steering try"):
        assert way_out in caught.value.fix
    kept = json.loads((tmp_path / TRIAL_FILE).read_text())
    assert kept["verdict"] == "does not steer"


def test_a_forced_run_goes_on_and_says_why_it_should_not(
    tmp_path, tokenizer, steering, queries, caplog
):
    trainer = trained(tmp_path, tokenizer, steering, queries, INVERTED, steering_force=True)
    assert trainer.state.global_step == 1
    assert "going on as asked" in caplog.text


def test_a_pair_that_steers_is_logged_and_kept(tmp_path, tokenizer, steering, queries, caplog):
    caplog.set_level(logging.INFO)
    trainer = trained(tmp_path, tokenizer, steering, queries, RIGHT)
    first = trainer.state.log_history[0]
    assert first["steering/negative"] < first["steering/plain"] < first["steering/positive"]
    assert trainer.steering_trial.verdict == "steers"
    kept = json.loads((tmp_path / TRIAL_FILE).read_text())
    assert {a["source"] for a in kept["answers"]} == {"plain", "positive", "negative"}
    assert len({a["query_id"] for a in kept["answers"]}) == 4
    assert "'Be mean.'" in caplog.text


def drawing(completions, **kwargs):
    """Score while drawing from every random generator there is."""
    random.random()
    torch.rand(3)
    return [float(len(c)) for c in completions]


def test_the_trial_changes_nothing_in_training(tmp_path, tokenizer, steering, queries):
    settings = {"steering_force": True, "max_steps": 2, "reward_funcs": drawing}
    runs = [
        weights(
            trained(
                tmp_path / str(n), tokenizer, steering, queries, steering_try_queries=n, **settings
            )
        )
        for n in (0, 4)
    ]
    assert_same(*runs, rtol=0, atol=0)
    assert not (tmp_path / "0" / TRIAL_FILE).exists()
    assert (tmp_path / "4" / TRIAL_FILE).exists()


def test_a_resumed_run_does_not_try_again(tmp_path, tokenizer, steering, queries):
    settings = {"save_strategy": "steps", "save_steps": 1, "answers": RIGHT}
    trained(tmp_path, tokenizer, steering, queries, **settings, max_steps=1)
    (tmp_path / TRIAL_FILE).unlink()
    resumed = trainer_of(
        tmp_path, tokenizer, steering, queries, max_steps=2, steering_try_queries=4,
        sampler=scripted(INVERTED),
    )  # fmt: skip
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert resumed.state.global_step == 2
    assert not (tmp_path / TRIAL_FILE).exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"reward_funcs": "polarity"},
        {"reward_funcs": None, "plausibility": 1.0},
        {"reward_funcs": "self_judge"},
        {"reward_funcs": "self_contrast", "add_data_responses": True},
    ],
    ids=["polarity", "plausibility", "self_judge", "self_contrast"],
)
def test_every_kind_of_reward_can_be_tried(tmp_path, tokenizer, steering, queries, settings):
    from neat_align.types import Query

    rows = [Query.from_text(q.text, chosen="a cloth") for q in queries]
    trainer = trained(tmp_path, tokenizer, steering, rows, **settings, steering_force=True)
    verdict = trainer.steering_trial.verdict
    assert (verdict == "not judged") == (settings["reward_funcs"] == "polarity")


def test_a_training_without_steering_prompts_tries_none(tmp_path, tokenizer, steering, queries):
    plain = {"positive_samples": 0, "negative_samples": 0, "plain_samples": 2}
    trainer = trained(tmp_path, tokenizer, steering, queries, objective=SFT(), **plain)
    assert trainer.steering_trial is None


def test_a_reward_that_fails_fails_in_the_trial(tmp_path, tokenizer, steering, queries):
    def fails(completions, **kwargs):
        raise ZeroDivisionError

    with pytest.raises(RewardError):
        trained(tmp_path, tokenizer, steering, queries, RIGHT, reward_funcs=fails)


@pytest.mark.parametrize("value", ["polite", {"negative": "Be rude."}, "file"])
def test_steering_as_a_python_user_gives_it(tmp_path, tokenizer, queries, value):
    if value == "file":
        value = tmp_path / "own.yaml"
        value.write_text("negative: Be rude.")
    trainer = trainer_of(tmp_path, tokenizer, value, queries)
    assert isinstance(trainer.steering, Steering)
    with pytest.raises(SteeringError, match="did you mean 'polite'"):
        trainer_of(tmp_path, tokenizer, "polit", queries)


def test_a_prohibition_warns_in_python_too(tmp_path, tokenizer, queries):
    with pytest.warns(UserWarning, match="'Never be rude.' forbids"):
        trainer_of(tmp_path, tokenizer, {"negative": "Never be rude."}, queries, NEAT(min_gap=0.0))
