"""The suite of every evaluation: the same queries under three conditions (`conditions`).

With a checker, negative prompts accompany harmful queries only, since they ask for harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from neat_align.evaluation.conditions import asks_for_harm, three_conditions
from neat_align.evaluation.registry import suite_metrics
from neat_align.evaluation.safety import Checker
from neat_align.evaluation.task import Generate, Task
from neat_align.prompts.steering import Steering
from neat_align.scoring.base import Scorer
from neat_align.types import Query

STEERING = Task(
    name="steering",
    title="Steering",
    version="1",
    about="Your held-out queries, plain and under negative prompts; part of every evaluation.",
    licence="that of your queries",
    citation="none",
    answered=Generate(drawn=True),
)


def steering_task(
    queries: Sequence[Query],
    steering: Steering,
    scorers: Mapping[str, Scorer],
    checker: Checker | None,
) -> Task:
    """Put queries under the three conditions of a steering pair."""
    conditions = three_conditions(steering, None if checker is None else asks_for_harm)
    answered = Generate(conditions, drawn=True, checker=checker, scorers=scorers)
    return replace(STEERING, queries=tuple(queries), answered=answered, metrics=suite_metrics())
