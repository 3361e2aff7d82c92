"""Rank responses to align with human feedback."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import NOT_NEGATIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class RRHF(Objective):
    """Σ_{r_i<r_j} max(0, a_i − a_j) − lm_weight · s_b.

    Paper: Yuan et al. 2023 (arXiv 2304.05302), Eq. 1–5.
    Deviates: ties are not ranked. `released=True` is what the released code computes: it
    zeroes its label mask before it counts it, so that s is divided by the padded length
    instead of the response's own, in the ranking and in the language-modelling term. Here
    that length is the group's longest response; there it also holds the query.
    """

    lm_weight: float = parameter(1.0, NOT_NEGATIVE)
    released: bool = False

    name = "rrhf"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        s = terms.sums(logps)
        padded = logps.length.where(logps.present, 1).amax(1).clamp(min=1)
        mean = s / padded[:, None] if self.released else terms.means(logps)
        best = terms.pick(mean if self.released else s, terms.best(logps))
        higher = terms.pair_gaps(logps) > 0  # [G, i, j]: i outranks j
        excess = (-terms.pair_differences(mean)).relu()  # a_j − a_i
        return LossTerms(
            {"rank": excess.where(higher, 0.0).sum((1, 2)), "lm": -best},
            weights={"lm": self.lm_weight},
        )
