"""What a reward function returned, as one finite number or None for each response."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from neat_align.errors import RewardError

WANTED = "return one number for each completion, None where it does not apply"


def checked_scores(result: Any, count: int, given: str) -> list[float | None]:
    """The scores; lists, arrays, tensors and generators are understood.

    Raises:
        RewardError: it is not `count` finite numbers or None.
    """
    kind = type(result).__name__
    if result is None:
        raise RewardError(given, "it returned None: a `return` is missing", WANTED)
    if isinstance(result, str | bytes | Mapping | set | frozenset):
        raise RewardError(given, f"it returned no list of numbers: {kind}", WANTED)
    if hasattr(result, "detach"):
        result = result.detach()
    if not hasattr(result, "__iter__") or getattr(result, "ndim", 1) == 0:
        raise RewardError(
            given, f"it returned no list of numbers: {kind} {str(result)[:60]}", WANTED
        )
    values = list(islice(result, count + 1))  # a generator may have no end
    if len(values) != count:
        many = f"more than {count}" if len(values) > count else str(len(values))
        raise RewardError(given, f"it returned {many} scores for {count} responses", WANTED)
    return [_score(value, i, given) for i, value in enumerate(values)]


def _score(value: Any, index: int, given: str) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, str | bytes):
            raise TypeError(f"{type(value).__name__} {value[:60]!r} is not a number")
        score = float(value.detach() if hasattr(value, "detach") else value)
    except Exception as error:  # whatever the function's own objects raise
        why = f"it returned no list of numbers: at place {index}, {error}"
        raise RewardError(given, why, WANTED) from error
    if not math.isfinite(score):
        raise RewardError(
            given,
            f"it returned {score} for response {index}",
            "return finite numbers, or None where it does not apply",
        )
    return score
