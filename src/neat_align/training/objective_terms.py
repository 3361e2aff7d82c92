"""What an objective of a user's own returns, looked at before it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from neat_align.errors import InputError, RecipeError, TrainingError
from neat_align.objectives import GroupLogps, LossTerms, Objective
from neat_align.scoring.raised import told

CONTRACT = "neat_align.check_objective(objective) tells what an objective must do"


def objective_problems(objective: Objective) -> list[InputError]:
    """That what an objective asks for does not fit together."""
    if not objective.needs_kl or objective.needs_reference:
        return []
    why = "a KL is to the reference, which it does not ask for"
    given = f"objective {objective.name!r} with needs_kl and without needs_reference"
    return [RecipeError(given, why, "let needs_reference be True as well")]


def loss_terms(objective: Objective, logps: GroupLogps) -> LossTerms:
    """The terms of a batch of groups.

    Raises:
        TrainingError: the objective raised, or returned what cannot be trained on.
    """
    try:
        terms = objective(logps)
    except Exception as error:  # whatever a user's code raises
        why = f"{told(error)}; reference, tokens and kl are there where needs_… says so"
        raise TrainingError(f"objective {objective.name!r}", why, CONTRACT) from error
    for why in _wrong(terms, len(logps.policy)):
        raise TrainingError(f"objective {objective.name!r}", why, CONTRACT)
    return terms


def _wrong(terms: Any, groups: int) -> Iterator[str]:
    if not isinstance(terms, LossTerms):
        yield f"it returned {type(terms).__name__}, and no LossTerms"
    elif not terms.terms:
        yield "it returned LossTerms without a term"
    else:
        yield from _wrong_terms(terms, groups)


def _wrong_terms(terms: LossTerms, groups: int) -> Iterator[str]:
    for name, term in terms.terms.items():
        shape = tuple(term.shape) if isinstance(term, torch.Tensor) else type(term).__name__
        if shape != (groups,):
            yield f"its term {name!r} is {shape}, and not one value for each of {groups} groups"
    for name, value in terms.metrics.items():
        if isinstance(value, torch.Tensor) and value.numel() != 1:
            yield f"its metric {name!r} has {value.numel()} values, and not one"
    if torch.is_grad_enabled() and not any(t.requires_grad for t in terms.terms.values()):
        yield "no term of it depends on the policy: nothing would be learned"
