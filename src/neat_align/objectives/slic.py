"""Sequence likelihood calibration."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import NOT_NEGATIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class SLiC(Objective):
    """max(0, δ − s_w + s_l) − lm_weight · s_w.

    Paper: Zhao et al. 2023 (SLiC-HF, arXiv 2305.10425).
    Deviates: the regularising target is the group's best response instead of a reference
    answer; without a winner only that term is left.
    """

    delta: float = 1.0
    lm_weight: float = parameter(0.1, NOT_NEGATIVE)

    name = "slic"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        s = terms.sums(logps)
        loss = (self.delta - terms.winner_margin(s, logps)).relu()
        return LossTerms(
            {
                "calibration": loss.where(terms.has_winner(logps), 0.0),
                "lm": -terms.pick(s, terms.best(logps)),
            },
            weights={"lm": self.lm_weight},
        )
