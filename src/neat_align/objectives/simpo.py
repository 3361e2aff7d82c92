"""Preference optimisation without a reference."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class SimPO(Objective):
    """softplus(−(β(a_w − a_l) − γ)): the winner must lead by γ in β times its mean log-prob.

    Paper: Meng et al. 2024 (arXiv 2405.14734), Eq. 6.
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = parameter(2.0, POSITIVE)
    gamma: float = 1.0

    name = "simpo"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        margin = self.beta * terms.winner_margin(terms.means(logps), logps)
        loss = terms.negative_log_sigmoid(margin - self.gamma)
        return LossTerms(
            {"simpo": loss.where(terms.has_winner(logps), 0.0)},
        )
