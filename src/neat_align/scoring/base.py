"""What a scorer is: groups in, one score for each response out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from neat_align.types import Group


class Scorer(Protocol):
    """Scores responses to the clean query (steering prompts are not shown to it).

    `score` returns one list for each group with one entry for each of its responses;
    None means that the scorer does not apply to that response. Higher is better.
    """

    name: str

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]: ...
