"""DPO made unbiased under labels flipped at a known rate."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import (
    MINORITY,
    POSITIVE,
    GroupLogps,
    LossTerms,
    Objective,
    parameter,
)


@dataclass(frozen=True)
class RobustDPO(Objective):
    """((1 − ε)·softplus(−βz) − ε·softplus(βz)) / (1 − 2ε), z = d_w − d_l, ε = `label_smoothing`.

    Paper: Chowdhury et al. 2024 (arXiv 2403.00409).
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)
    label_smoothing: float = parameter(0.1, MINORITY)

    name = "robust_dpo"
    needs_reference = True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        z, flipped = (
            self.beta * terms.winner_margin(terms.log_ratios(logps), logps),
            self.label_smoothing,
        )
        right, wrong = terms.negative_log_sigmoid(z), terms.negative_log_sigmoid(-z)
        loss = ((1 - flipped) * right - flipped * wrong) / (1 - 2 * flipped)
        return LossTerms(
            {"robust_dpo": loss.where(terms.has_winner(logps), 0.0)},
        )
