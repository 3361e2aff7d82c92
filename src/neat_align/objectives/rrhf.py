"""Rank responses to align with human feedback."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class RRHF(Objective):
    """Σ_{r_i<r_j} max(0, a_i − a_j) − lm_weight · s_b.

    Paper: Yuan et al. 2023 (arXiv 2304.05302), Eq. 1–5.
    Deviates: ties are not ranked; the released code divides by the padded length, this one
    by the response's own.
    """

    lm_weight: float = 1.0

    name = "rrhf"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        higher = terms.pair_gaps(logps) > 0  # [G, i, j]: i outranks j
        excess = torch.relu(-terms.pair_differences(terms.means(logps)))  # a_j − a_i
        s_best = terms.pick(terms.sums(logps), terms.best(logps))
        return LossTerms(
            {
                "rank": torch.where(higher, excess, 0.0).sum((1, 2)),
                "lm": torch.where(terms.any_present(logps), -s_best, 0.0),
            },
            weights={"lm": self.lm_weight},
        )
