"""Check what an objective asks for, and what one of a user's own returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from neat_align.errors import InputError, RecipeError
from neat_align.objectives import LossTerms, Objective


def objective_problems(objective: Objective) -> list[InputError]:
    """Find what an objective asks for that does not fit together."""
    if not objective.needs_kl or objective.needs_reference:
        return []
    why = "a KL is to the reference, which it does not ask for"
    given = f"objective {objective.name!r} with needs_kl and without needs_reference"
    return [RecipeError(given, why, "let needs_reference be True as well")]


def terms_problems(terms: Any, groups: int) -> Iterator[str]:
    """Yield why what an objective returned cannot be trained on."""
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
        if isinstance(value, torch.Tensor) and value.numel() != 1 and value.shape != (groups,):
            shape = tuple(value.shape)
            yield f"its metric {name!r} is {shape}, and not one value, or one for each group"
    if torch.is_grad_enabled() and not any(t.requires_grad for t in terms.terms.values()):
        yield "no term of it depends on the policy: nothing would be learned"
