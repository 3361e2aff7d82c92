"""What reward functions tell beside their scores reaches the trainer's logs, as in TRL."""

import json

import pyarrow.parquet as pq
import pytest
from tests.conftest import make_llama
from transformers import TrainerState

from neat_align.errors import RecipeError, RewardError
from neat_align.objectives import NEAT
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer

SEEN = []


def told(completions, trainer_state, log_metric, log_extra, **kwargs):
    SEEN.append(trainer_state)
    log_metric("share_short", sum(len(c) < 3 for c in completions) / len(completions))
    log_metric("step_seen", trainer_state.global_step)
    log_extra("size", [len(c) for c in completions])
    log_extra("mixed", [i if i % 2 else "even" for i in range(len(completions))])
    return [float(len(c)) for c in completions]


def takes_a_name(completions, log_metric):
    log_metric("reward", 1.0)
    return [0.0] * len(completions)


def trained(path, tokenizer, steering, queries, function, **settings):
    trainer = NEATTrainer(
        make_llama(tokenizer),
        function,
        NEATConfig(
            output_dir=str(path),
            max_steps=2,
            per_device_train_batch_size=2,
            positive_samples=1,
            negative_samples=1,
            plain_samples=0,
            save_strategy="no",
            steering_try_queries=0,
            use_cpu=True,
            disable_tqdm=True,
            **settings,
        ),
        queries,
        objective=NEAT(),
        steering=steering,
        processing_class=tokenizer,
        sampler=ScriptedSampler(lambda request: "a" if "mean" in request.steering else "a bcd"),
    )
    trainer.train()
    return trainer


def test_metrics_state_and_columns_reach_the_logs(tmp_path, tokenizer, steering, queries):
    SEEN.clear()
    trainer = trained(tmp_path, tokenizer, steering, queries, told, log_completions=True)
    assert all(isinstance(state, TrainerState) for state in SEEN)
    assert SEEN[-1] is trainer.state
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step_seen"] for row in rows] == [0.0, 1.0]
    assert all(0 <= row["share_short"] <= 1 for row in rows)
    table = pq.read_table(tmp_path / "completions" / "completions_00001.parquet").to_pylist()
    assert len(table) == 4
    for row in table:
        assert row["size"] == len(row["completion"]) == row["told"] == row["score"]
        assert row["step"] == 1
    assert [row["mixed"] for row in table] == ['"even"', "1", '"even"', "3"]
    assert {row["source"] for row in table} == {"positive", "negative"}


def test_nothing_is_written_that_was_not_asked_for(tmp_path, tokenizer, steering, queries):
    trained(tmp_path, tokenizer, steering, queries, told)
    assert not (tmp_path / "completions").exists()


def test_a_figure_of_the_trainers_own_is_not_mixed_with_another(
    tmp_path, tokenizer, steering, queries
):
    with pytest.raises(RewardError, match="'reward'"):
        trained(tmp_path, tokenizer, steering, queries, takes_a_name)


def test_completions_of_stored_groups_cannot_be_logged(tmp_path, tokenizer, steering):
    from neat_align.types import Group, Query, Response

    responses = (Response("a", "positive", score=1.0), Response("b", "negative", score=0.0))
    with pytest.raises(RecipeError, match="log_completions"):
        trained(tmp_path, tokenizer, steering, [Group(Query.from_text("q"), responses)], None,
                log_completions=True)  # fmt: skip
