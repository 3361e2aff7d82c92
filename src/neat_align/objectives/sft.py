"""Best-of-K supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SFT(Objective):
    """−a_b: imitate the highest-scored response of each group.

    Paper: RAFT, Dong et al. 2023 (arXiv 2304.06767), the ranking step.
    Deviates: the loss is length-normalised, as in every objective of this package.
    """

    name = "sft"
    min_responses = 1

    def usable(self, logps: GroupLogps) -> Tensor:
        return terms.has_best(logps)

    def __call__(self, logps: GroupLogps) -> LossTerms:
        return LossTerms({"lm": terms.best_nll(logps)})
