"""The page of figures is what runs log: nothing more, nothing less."""

from pathlib import Path

import pytest
from tests.trainers import length_reward, rows, stored_groups, trainer_of

from neat_align.errors import RewardError
from neat_align.objectives import KTO, NEAT, OBJECTIVES
from neat_align.objectives.contract import example_batch
from neat_align.report.glossary import evaluation_tables
from neat_align.training.logged import LOGGED, logged_as, page
from neat_align.training.metrics import refuse_taken

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
RARE = {
    "stopped_early", "sampling/unanswered", "engine/logp_difference", "watched_reward",
    "rewards_parted",
}  # fmt: skip
"""Logged where something went wrong, with an engine, or with a reward to watch."""


def test_the_page_is_what_the_code_says():
    whole = f"{page()}\n{evaluation_tables()}"
    assert PAGE.read_text(encoding="utf-8") == whole, "run scripts/metrics_page.py again"


def test_a_run_logs_what_is_on_the_page(tmp_path, tokenizer, steering, queries):
    stored = stored_groups(tokenizer, queries, steering)
    splitting = {"good_above": 1.0, "resample_groups": 1, "drop_unsplit": True}
    splitting |= {"max_dispute": 1.0, "reward_funcs": [length_reward, length_reward]}
    for name, data, objective, settings in (
        ("online", queries, NEAT(), splitting),
        ("offline", stored, NEAT(penalty="npo", penalty_weight=0.1), {}),
        ("kto", queries, KTO(), {}),
    ):
        settings = {"max_steps": 2, **settings}
        trainer_of(tmp_path / name, tokenizer, steering, data, objective, **settings).train()
    names = {n for run in ("online", "offline", "kto") for row in rows(tmp_path / run) for n in row}
    assert [name for name in names if logged_as(name) is None] == []
    entries = {entry for section in LOGGED.values() for entry in section}
    assert entries - {logged_as(name) for name in names} == RARE


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_an_objective_adds_is_on_the_page(name):
    found = OBJECTIVES[name]()(example_batch(0))
    assert all(logged_as(f"loss/{term}") for term in found.terms)
    assert all(logged_as(metric) for metric in found.metrics)


def test_names_on_the_page_are_taken():
    for name in ("loss", "reward/mine", "signal/usable", "negatives/odd_ones", "my_figure"):
        if logged_as(name) is None:
            assert refuse_taken({name: 1.0}) == {name: 1.0}
        else:
            with pytest.raises(RewardError, match="figure of its own"):
                refuse_taken({name: 1.0})
