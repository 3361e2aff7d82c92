"""Contrastive preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import (
    NOT_NEGATIVE,
    POSITIVE,
    GroupLogps,
    LossTerms,
    Objective,
    parameter,
)


@dataclass(frozen=True)
class CPO(Objective):
    """softplus(−β(s_w − s_l)) − lm_weight · a_w.

    Paper: Xu et al. 2024 (arXiv 2401.08417), with the behaviour-cloning term.
    Deviates: the pair comes from a group of any size; without a winner only the
    language-modelling term is left.
    """

    beta: float = parameter(0.1, POSITIVE)
    lm_weight: float = parameter(1.0, NOT_NEGATIVE)

    name = "cpo"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        margin = self.beta * terms.winner_margin(terms.sums(logps), logps)
        loss = terms.negative_log_sigmoid(margin)
        return LossTerms(
            {
                "cpo": loss.where(terms.has_winner(logps), 0.0),
                "lm": terms.best_nll(logps),
            },
            weights={"lm": self.lm_weight},
        )
