"""What a scorer is: groups in, one score for each response out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from neat_align.types import Group


class Scorer(Protocol):
    """Scores responses to the clean query (steering prompts are not shown to it).

    `score` returns one list for each group with one entry for each of its responses;
    None means that the scorer does not apply to that response, `Unscored` that it should
    have scored it and could not. Higher is better.
    """

    name: str

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]: ...


class Unscored(float):
    """A score that a scorer owes, and why; as a number NaN, so that it can pass for none.

    Unlike None it leaves the response's group out: a sum without it would rank the response
    by another measure than the others.
    """

    why: str

    def __new__(cls, why: str) -> Unscored:
        found = super().__new__(cls, "nan")
        found.why = why
        return found
