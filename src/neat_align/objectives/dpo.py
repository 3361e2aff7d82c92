"""Direct preference optimisation on the best and the worst response of a group."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class DPO(Objective):
    """−log σ(β(d_w − d_l)), w and l being the highest- and lowest-scored responses.

    Paper: Rafailov et al. 2023 (arXiv 2305.18290), Eq. 7.
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)

    name = "dpo"
    needs_reference = True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        z = self.beta * terms.winner_margin(terms.log_ratios(logps), logps)
        loss = terms.negative_log_sigmoid(z)
        return LossTerms(
            {"dpo": loss.where(terms.has_winner(logps), 0.0)},
        )
