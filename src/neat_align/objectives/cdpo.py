"""DPO that trusts its labels with probability 1 − ε."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import (
    MINORITY,
    POSITIVE,
    GroupLogps,
    LossTerms,
    Objective,
    parameter,
)


@dataclass(frozen=True)
class CDPO(Objective):
    """(1 − ε)·softplus(−βz) + ε·softplus(βz), z = d_w − d_l, ε = `label_smoothing`.

    Paper: Mitchell 2023, "A note on DPO with noisy preferences and relationship to IPO".
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)
    label_smoothing: float = parameter(0.1, MINORITY)

    name = "cdpo"
    needs_reference = True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        z = self.beta * terms.winner_margin(terms.log_ratios(logps), logps)
        right, wrong = terms.negative_log_sigmoid(z), terms.negative_log_sigmoid(-z)
        loss = (1 - self.label_smoothing) * right + self.label_smoothing * wrong
        return LossTerms(
            {"cdpo": loss.where(terms.has_winner(logps), 0.0)},
        )
