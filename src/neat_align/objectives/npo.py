"""Negative preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.objectives import terms
from neat_align.objectives.base import (
    NOT_NEGATIVE,
    POSITIVE,
    GroupLogps,
    LossTerms,
    Objective,
    parameter,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NPO(Objective):
    """mean over N of (2/β) · softplus(β · d_i), minus lm_weight · a_b.

    N are the responses sampled under a negative prompt, whatever their score.

    Paper: Zhang et al. 2024 (arXiv 2404.05868), beside the retain term.
    Deviates: what is kept is the group's best response.
    """

    beta: float = parameter(0.1, POSITIVE)
    lm_weight: float = parameter(1.0, NOT_NEGATIVE)

    name = "npo"
    min_responses = 1
    needs_negatives = True
    needs_reference = True

    def usable(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups with a negative response and, for the likelihood term, a best one."""
        negatives = (logps.is_negative & logps.present).any(1)
        return negatives & terms.has_best(logps) if self.lm_weight else negatives

    def __call__(self, logps: GroupLogps) -> LossTerms:
        penalty = 2 / self.beta * terms.softplus(self.beta * terms.log_ratios(logps))
        return LossTerms(
            {
                "penalty": terms.masked_mean(penalty, logps.is_negative & logps.present),
                "lm": terms.best_nll(logps),
            },
            weights={"lm": self.lm_weight},
        )
