"""Loops score lower: minus the share of repeated runs of four words."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.prompts.chat.thinking import answer_of
from neat_align.scoring.base import NamedScorer, Scores
from neat_align.texts import repetition
from neat_align.types import Group


class Repetition(NamedScorer):
    """Minus the share of a response's 4-grams that occurred in it before: from −1 to 0."""

    name = "repetition"
    about = "minus the share of a response's runs of four words that occurred before"

    def score(self, groups: Sequence[Group]) -> Scores:
        """Score every response by how little it repeats itself."""
        return [[0.0 - repetition(answer_of(r.text)) for r in g.responses] for g in groups]
