"""Reward-free mode: the source of a response is its score."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.types import Group, Source

POLARITY = {Source.POSITIVE: 1.0, Source.DATA: 1.0, Source.PLAIN: 0.0, Source.NEGATIVE: -1.0}


class Polarity:
    """Positive +1, plain 0, negative −1; answers from data count as positive."""

    name = "polarity"
    reads_source = True  # so it cannot tell whether a prompt did what it says

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        return [[POLARITY[r.source] for r in g.responses] for g in groups]
