"""A training that goes on from a checkpoint: it ends like one in a go, or is refused."""

import re
import shutil
from dataclasses import replace

import pytest
from tests.trainers import assert_same, rows, trainer_of, weights

from neat_align.errors import OutputError
from neat_align.objectives import NEAT
from neat_align.prompts.phrasing import Phrasing

BEGUN = Phrasing(prefix="No,")


@pytest.mark.parametrize("refresh", [1, 2])
def test_a_resumed_run_equals_the_uninterrupted_one(
    tmp_path, tokenizer, steering, queries, refresh
):
    settings = {
        "max_steps": 5, "save_strategy": "steps", "save_steps": 3, "refresh_every": refresh,
        "lr_scheduler_type": "linear",
    }  # fmt: skip
    whole = trainer_of(tmp_path / "whole", tokenizer, steering, queries, **settings)
    whole.train()
    (tmp_path / "cut").mkdir()
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "cut" / "checkpoint-3")
    shutil.copy(tmp_path / "whole" / "metrics.jsonl", tmp_path / "cut" / "metrics.jsonl")
    resumed = trainer_of(tmp_path / "cut", tokenizer, steering, queries, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-3"))
    assert_same(weights(whole), weights(resumed), rtol=0, atol=0)
    timeless = [
        [{k: v for k, v in row.items() if "second" not in k} for row in rows(tmp_path / name)]
        for name in ("whole", "cut")
    ]
    assert timeless[0] == timeless[1]
    assert [row["step"] for row in timeless[1]] == [1, 2, 3, 4, 5]


def test_a_checkpoint_named_in_the_settings_is_resumed_from(tmp_path, tokenizer, steering, queries):
    settings = {"save_strategy": "steps", "save_steps": 1, "max_steps": 2}
    whole = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    whole.train()
    first = str(tmp_path / "checkpoint-1")
    again = trainer_of(
        tmp_path, tokenizer, steering, queries, resume_from_checkpoint=first, **settings
    )
    drawn = []
    make = again.maker.make
    again.maker.make = lambda q, seed: drawn.append(1) or make(q, seed)
    again.train()
    assert len(drawn) == 1
    assert_same(weights(whole), weights(again), rtol=0, atol=0)
    for given, words in ((tmp_path / "absent", "no such directory"), (True, "no complete")):
        empty = trainer_of(tmp_path / "empty", tokenizer, steering, queries, **settings)
        with pytest.raises(OutputError, match=words):
            empty.train(resume_from_checkpoint=given)


@pytest.mark.parametrize("end", [{"max_steps": 2}, {"max_steps": 5, "stop_kl": -100.0}])
def test_what_had_ended_takes_no_further_step(tmp_path, tokenizer, steering, queries, end):
    settings = {**end, "save_strategy": "steps", "save_steps": 1}
    whole = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    whole.train()
    told, steps = rows(tmp_path), whole.state.global_step
    assert steps < 3
    resumed = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{steps}"))
    assert resumed.state.global_step == steps
    assert_same(weights(whole), weights(resumed), rtol=0, atol=0)
    assert rows(tmp_path) == told


def test_a_checkpoint_without_optimiser_is_not_resumed_from(tmp_path, tokenizer, steering, queries):
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2, "save_only_model": True}
    trainer_of(tmp_path, tokenizer, steering, queries, **settings).train()
    again = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    with pytest.raises(OutputError, match="it holds the model alone"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))  # nothing is left to do
    assert again.state.global_step == 3


def test_a_checkpoint_of_another_training_is_refused(tmp_path, tokenizer, steering, queries):
    """Other texts, another reward, objective or data: named, and not gone on with."""
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2}
    trainer_of(tmp_path, tokenizer, steering, queries, **settings).train()

    def shorter(completions, **kwargs):
        return [-float(len(text)) for text in completions]

    changes = (
        ({"steering": replace(steering, negative=("Be vague.",))}, "steering.negative"),
        ({"steering": replace(steering, other_negative=(BEGUN,))}, "steering.negative"),
        ({"negative_channels": ["system"]}, "settings.negative_channels"),
        ({"objective": NEAT(lm_weight=3.0)}, "objective.lm_weight"),
        ({"reward_funcs": shorter}, "rewards.shorter"),
        ({"dataset": queries[1:]}, "data (queries:"),
    )
    for change, named in changes:
        given = {"steering": steering, "dataset": queries, **change}
        again = trainer_of(tmp_path, tokenizer, **given, **settings)
        with pytest.raises(OutputError, match=re.escape(named)):
            again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    again = trainer_of(tmp_path, tokenizer, replace(steering, name="other"), queries, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
