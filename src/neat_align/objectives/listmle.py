"""ListMLE: the likelihood of the whole ranking under the Plackett-Luce model."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective
from neat_align.objectives.pro import listwise


@dataclass(frozen=True)
class ListMLE(Objective):
    """Σ_{i<K} [logsumexp(a_i, {a_j}_{j>i}) − a_i], candidates sorted by score, descending.

    Paper: Xia et al. 2008, "Listwise approach to learning to rank", on mean log-probs.
    Deviates: PRO with every temperature 1; ties are ranked by position.
    """

    name = "listmle"
    min_responses = 3  # of two, a list is a pair: that is what the pairwise objectives are for

    def __call__(self, logps: GroupLogps) -> LossTerms:
        order = terms.rank_order(logps)
        a = terms.means(logps).gather(1, order)
        below = terms.later(logps.present.gather(1, order))
        return LossTerms({"rank": listwise(a, a.new_ones(below.shape), a.new_ones(a.shape), below)})
