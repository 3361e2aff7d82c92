"""DPO with a hinge in place of the logistic loss."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class DPOHinge(Objective):
    """max(0, 1 − β(d_w − d_l)), w and l being the highest- and lowest-scored responses.

    Paper: Liu et al. 2023 (RSO, arXiv 2309.06657), the hinge-norm loss; SLiC-HF's hinge on
    the log-ratios of DPO.
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)

    name = "dpo_hinge"
    needs_reference = True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        z = self.beta * terms.winner_margin(terms.log_ratios(logps), logps)
        return LossTerms(
            {"dpo_hinge": (1 - z).relu().where(terms.has_winner(logps), 0.0)},
        )
