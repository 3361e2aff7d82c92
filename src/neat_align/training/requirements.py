"""What an objective needs of its groups, checked before anything is sampled or loaded."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.errors import InputError, RecipeError
from neat_align.objectives import Objective
from neat_align.sampling.groups import GroupPlan
from neat_align.types import Group, Query, Source


def objective_needs(objective: Objective, plan: GroupPlan) -> list[InputError]:
    """What a plan of sampling lacks for an objective."""
    return _problems(
        objective,
        plan.negative > 0,
        plan.size,
        f"{plan.positive} positive, {plan.negative} negative, {plan.plain} plain samples",
    )


def stored_needs(objective: Objective, groups: Sequence[Group]) -> list[InputError]:
    """What stored groups lack for an objective: no group has enough to act on."""
    negatives = any(r.source == Source.NEGATIVE for g in groups for r in g.responses)
    size = max(len(g.responses) for g in groups)
    return _problems(objective, negatives, size, f"{len(groups)} stored groups")


def answers_needed(wanted: bool, queries: Sequence[Query]) -> list[InputError]:
    """That no query has an answer where the data's answers are to join the groups."""
    if not wanted or any(q.meta.get("chosen") or q.meta.get("rejected") for q in queries):
        return []
    return [
        RecipeError(
            f"add_reference_responses with {len(queries)} queries",
            "none of them has a chosen or rejected answer to add",
            "give rows with these columns, or leave the option out",
        )
    ]


def _problems(objective: Objective, negatives: bool, size: int, given: str) -> list[InputError]:
    errors: list[InputError] = []
    if objective.needs_negatives and not negatives:
        errors.append(
            RecipeError(
                f"objective {objective.name!r} with {given}",
                "it acts on responses sampled under a negative prompt, and there are none",
                "sample negative: 1 or more a query",
            )
        )
    if size < objective.min_responses:
        errors.append(
            RecipeError(
                f"objective {objective.name!r} with {given}",
                f"it needs {objective.min_responses} responses a group, and gets {size}",
                "sample more responses a query",
            )
        )
    return errors
