"""Preference ranking optimisation, and ListMLE, which is PRO without temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.objectives import terms
from neat_align.objectives.base import NOT_NEGATIVE, GroupLogps, LossTerms, Objective, parameter

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PRO(Objective):
    """Each response against all that rank below it, the widest gaps weighing most.

    Candidates sorted by score, descending (ties by position), T_j = r_i − r_j and
    T = max_j T_j: Σ_{i<K} [logsumexp(a_i·T, {a_j·T_j}_{j>i}) − a_i·T]
    + sft_weight · (K − 1)² · (−s_1).

    Paper: Song et al. 2023 (arXiv 2306.17492), and its code for the temperatures and
    the factor (K − 1)².
    Deviates: K counts the responses that are present.
    """

    sft_weight: float = parameter(0.05, NOT_NEGATIVE)

    name = "pro"
    min_responses = 3  # of two, a list is a pair: that is what the pairwise objectives are for
    score_range = (0.05, 50.0)  # the temperatures are score differences

    def __call__(self, logps: GroupLogps) -> LossTerms:
        r = terms.scores(logps)
        order = terms.rank_order(logps)
        r, a = r.gather(1, order), terms.means(logps).gather(1, order)
        present = logps.present.gather(1, order)
        gaps = terms.pair_differences(r)  # [G, i, j]
        below = terms.later(present)
        widest = gaps.where(below, 0.0).amax(2)
        k = logps.present.sum(1)
        s_best = terms.pick(terms.sums(logps), terms.best(logps))
        return LossTerms(
            {
                "rank": listwise(a, gaps, widest, below),
                "lm": -((k - 1).clamp(min=0) ** 2) * s_best,
            },
            weights={"lm": self.sft_weight},
        )


def listwise(a: Tensor, temperatures: Tensor, own: Tensor, below: Tensor) -> Tensor:
    """Return Σ_i [logsumexp(a_i·own_i, {a_j·temperature_ij}_{j below i}) − a_i·own_i], [G].

    Args:
        a: [G, K] mean log-probs in rank order.
        temperatures: [G, K, K] of j seen from i.
        own: [G, K] of i itself.
        below: [G, K, K] bool, j is present and ranks below i; rows without any count 0.
    """
    import torch

    score = a * own
    rivals = (a[:, None, :] * temperatures).where(below, float("-inf"))
    everyone = torch.cat([score[:, :, None], rivals], dim=2).logsumexp(2)
    return (everyone - score).where(below.any(2), 0.0).sum(1)
