"""NEAT-PP: NEAT without negative prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.objectives.base import GroupLogps, LossTerms
from neat_align.objectives.neat import NEAT

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NEATPP(NEAT):
    """NEAT on the responses that no negative prompt brought out; nothing is penalised.

    Paper: Qiao et al. 2024 (arXiv 2410.12194) name the variant and do not define it.
    Deviates: "positive prompts only" is our definition.
    """

    name = "neat_pp"
    suggested_negative_context = 0.0
    needs_negatives = False

    def usable(self, logps: GroupLogps) -> Tensor:
        return super().usable(logps.restricted_to(~logps.is_negative))

    def __call__(self, logps: GroupLogps) -> LossTerms:
        return super().__call__(logps.restricted_to(~logps.is_negative))
