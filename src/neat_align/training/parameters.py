"""What an objective's numbers may be, told without importing torch.

Objectives store what they are given; a recipe and the trainer ask here before anything is
loaded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from neat_align.errors import InputError, RecipeError

NOT_BELOW_ZERO = (
    *("rank_weight", "lm_weight", "sft_weight", "penalty_weight"),
    *("desirable_weight", "undesirable_weight", "min_gap"),
)
ABOVE_ZERO = ("beta", "rank_beta", "penalty_beta", "gap_scale")
"""Divided by, or without effect at 0."""
HALF = ("label_smoothing",)
"""Shares of wrong labels: from a half on, a label says nothing or the opposite."""


def parameter_problems(name: str, values: Mapping[str, Any]) -> list[InputError]:
    """Numbers that the objective `name` cannot work with; what is no number is left alone."""
    problems: list[InputError] = []
    for key, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            wrong = _wrong(key, value)
            if wrong:
                given = f"objective.{key}: {value!r} of {name}"
                problems.append(RecipeError(given, wrong[0], wrong[1]))
    return problems


def _wrong(key: str, value: float) -> tuple[str, str] | None:
    if not math.isfinite(value):
        return "no loss comes of it", "give a finite number"
    if key in NOT_BELOW_ZERO and value < 0:
        return "below zero it turns the objective round", "use 0 or more"
    if key in ABOVE_ZERO and value <= 0:
        return "the objective divides by it or multiplies with it", "use a value above 0"
    if key in HALF and not 0 <= value < 0.5:
        return "from a half on, labels say nothing or the opposite", "use 0 or more, below 0.5"
    return None
