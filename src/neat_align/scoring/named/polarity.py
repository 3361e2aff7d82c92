"""Reward-free mode: the source of a response is its score."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.scoring.base import NamedScorer, Scores
from neat_align.types import Group, Source

POLARITY = {Source.POSITIVE: 1.0, Source.DATA: 1.0, Source.PLAIN: 0.0, Source.NEGATIVE: -1.0}


class Polarity(NamedScorer):
    """Positive +1, plain 0, negative −1; answers from data count as positive."""

    name = "polarity"
    about = "positive +1, plain 0, negative −1: no reward model"
    reads_source = True

    def score(self, groups: Sequence[Group]) -> Scores:
        """Score every response by its source."""
        return [[POLARITY[r.source] for r in g.responses] for g in groups]
