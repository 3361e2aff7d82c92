"""DPO with a hinge in place of the logistic loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class DPOHinge(Objective):
    """max(0, 1 − β(d_w − d_l)), w and l being the highest- and lowest-scored responses.

    Paper: Liu et al. 2023 (RSO, arXiv 2309.06657), the hinge-norm loss; SLiC-HF's hinge on
    the log-ratios of DPO.
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = 0.1

    name = "dpo_hinge"

    @property
    def needs_reference(self) -> bool:
        return True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        z = self.beta * terms.winner_margin(terms.log_ratios(logps), logps)
        return LossTerms(
            {"dpo_hinge": torch.where(terms.has_winner(logps), torch.relu(1 - z), 0.0)},
        )
