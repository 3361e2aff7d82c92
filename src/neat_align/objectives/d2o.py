"""Distributional dispreference optimisation: mostly negatives, no winner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class D2O(Objective):
    """mean over i in N of softplus(−(β · mean_{j not in N} d_j − α · d_i)).

    N are the responses sampled under a negative prompt; the others are the model's own
    samples that stand for its helpfulness.

    Paper: Duan et al. 2024 (arXiv 2403.03419).
    Deviates: one reference for both sides, where the paper has two; a group without
    negatives, or with nothing else, counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)
    alpha: float = 0.1

    name = "d2o"
    needs_negatives = True
    needs_reference = True

    def usable(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups with a negative response and another; scores do not count."""
        negatives = logps.is_negative & logps.present
        return negatives.any(1) & (~logps.is_negative & logps.present).any(1)

    def __call__(self, logps: GroupLogps) -> LossTerms:
        d = terms.log_ratios(logps)
        negatives = logps.is_negative & logps.present
        others = ~logps.is_negative & logps.present
        kept = terms.masked_mean(d, others)[:, None]
        loss = terms.negative_log_sigmoid(self.beta * kept - self.alpha * d)
        both = negatives & others.any(1, keepdim=True)
        return LossTerms({"d2o": terms.masked_mean(loss, both)})
