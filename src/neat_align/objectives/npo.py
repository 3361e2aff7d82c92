"""Negative preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class NPO(Objective):
    """mean over N of (2/β) · softplus(β · d_i), minus lm_weight · a_b.

    N are the responses sampled under a negative prompt, whatever their score.

    Paper: Zhang et al. 2024 (arXiv 2404.05868), beside the retain term.
    Deviates: what is kept is the group's best response.
    """

    beta: float = 0.1
    lm_weight: float = 1.0

    name = "npo"

    @property
    def min_responses(self) -> int:
        return 1

    @property
    def needs_negatives(self) -> bool:
        return True

    @property
    def needs_reference(self) -> bool:
        return True

    def usable(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups with a negative response and, for the likelihood term, a best one."""
        negatives = (logps.is_negative & logps.present).any(1)
        return negatives & terms.has_best(logps) if self.lm_weight else negatives

    def __call__(self, logps: GroupLogps) -> LossTerms:
        penalty = 2 / self.beta * softplus(self.beta * terms.log_ratios(logps))
        return LossTerms(
            {
                "penalty": terms.masked_mean(penalty, logps.is_negative & logps.present),
                "lm": terms.best_nll(logps),
            },
            weights={"lm": self.lm_weight},
        )
