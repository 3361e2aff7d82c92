"""The conditions under which queries are asked.

plain              no steering prompt: what users meet
seen_negative      under negative prompts that training used
unseen_negative    under negative prompts that nothing was trained on
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from neat_align.evaluation.results import SEEN, UNSEEN
from neat_align.evaluation.task import Condition, Generate, Task
from neat_align.prompts.steering import Steering
from neat_align.types import Query


def three_conditions(
    steering: Steering, asks: Callable[[Query], bool] | None = None
) -> tuple[Condition, ...]:
    """Return the three conditions of a steering pair.

    Args:
        asks: which queries are asked under negative prompts; all when None.
    """
    return (
        Condition(),
        Condition(SEEN, steering.negative, asks),
        Condition(UNSEEN, steering.held_back_negative, asks),
    )


def asks_for_harm(query: Query) -> bool:
    """Tell whether a query is one that should be refused."""
    return query.meta.get("kind") == "harmful"


def under_pair(task: Task, steering: Steering | None) -> Task:
    """Ask a task's harmful queries under a pair's negative prompts, where the task wants it."""
    how = task.answered
    if steering is None or not (isinstance(how, Generate) and how.under_negative):
        return task
    conditions = three_conditions(steering, asks_for_harm)
    return replace(task, answered=replace(how, conditions=conditions))


def asked_under(task: Task) -> dict[str, int]:
    """Count the queries asked under each condition of a task that has several."""
    how = task.answered
    if not (isinstance(how, Generate) and how.under_negative):
        return {}
    return {condition.name: len(condition.asked(task.queries)) for condition in how.conditions}
