"""DPO made unbiased under labels flipped at a known rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class RobustDPO(Objective):
    """((1 − ε)·softplus(−βz) − ε·softplus(βz)) / (1 − 2ε), z = d_w − d_l, ε = `label_smoothing`.

    Paper: Chowdhury et al. 2024 (arXiv 2403.00409).
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = 0.1
    label_smoothing: float = 0.1

    name = "robust_dpo"

    @property
    def needs_reference(self) -> bool:
        return True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        z, flipped = (
            self.beta * terms.winner_margin(terms.log_ratios(logps), logps),
            self.label_smoothing,
        )
        right, wrong = terms.negative_log_sigmoid(z), terms.negative_log_sigmoid(-z)
        loss = ((1 - flipped) * right - flipped * wrong) / (1 - 2 * flipped)
        return LossTerms(
            {"robust_dpo": torch.where(terms.has_winner(logps), loss, 0.0)},
        )
