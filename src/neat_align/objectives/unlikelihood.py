"""Token unlikelihood on what negative prompts brought out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.objectives import terms
from neat_align.objectives.base import NOT_NEGATIVE, GroupLogps, LossTerms, Objective, parameter

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Unlikelihood(Objective):
    """mean over N of mean_t −log(1 − p_it), minus lm_weight · a_b.

    Paper: Welleck et al. 2019 (arXiv 1908.04319), on whole responses.
    Deviates: the likelihood term is on the group's best response.
    """

    lm_weight: float = parameter(1.0, NOT_NEGATIVE)

    name = "unlikelihood"
    min_responses = 1
    needs_negatives = True
    needs_tokens = True

    def usable(self, logps: GroupLogps) -> Tensor:
        """[G] bool: groups with a negative response and, for the likelihood term, a best one."""
        negatives = (logps.is_negative & logps.present).any(1)
        return negatives & terms.has_best(logps) if self.lm_weight else negatives

    def __call__(self, logps: GroupLogps) -> LossTerms:
        penalty = terms.token_unlikelihood(logps)
        return LossTerms(
            {
                "penalty": terms.masked_mean(penalty, logps.is_negative & logps.present),
                "lm": terms.best_nll(logps),
            },
            weights={"lm": self.lm_weight},
        )
