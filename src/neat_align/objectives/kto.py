"""Kahneman-Tversky optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import (
    NOT_NEGATIVE,
    POSITIVE,
    GroupLogps,
    LossTerms,
    Objective,
    parameter,
)


@dataclass(frozen=True)
class KTO(Objective):
    """mean over the responses of λ_D(1 − σ(β(d_i − z))) or λ_U(1 − σ(β(z − d_i))).

    The first for desirable responses (scored above their group's mean), the second for the
    others. z = max(0, KL), held constant; `GroupLogps.kl` is the mean of d over queries
    paired with another query's response. Without it z is 0, its value at the start.

    Paper: Ethayarajh et al. 2024 (arXiv 2402.01306).
    Deviates: desirable is relative to the group; a group of equal scores counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)
    desirable_weight: float = parameter(1.0, NOT_NEGATIVE)
    undesirable_weight: float = parameter(1.0, NOT_NEGATIVE)

    name = "kto"
    needs_reference = True
    needs_kl = True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        d, r = terms.log_ratios(logps), terms.scores(logps)
        z = d.new_zeros(()) if logps.kl is None else logps.kl.detach().to(d).clamp(min=0)
        desirable = r > terms.masked_mean(r, logps.present)[:, None]
        gain = self.desirable_weight * (-self.beta * (d - z)).sigmoid()
        loss = self.undesirable_weight * (-self.beta * (z - d)).sigmoid()
        values = gain.where(desirable, loss)
        taught = logps.present & terms.has_winner(logps)[:, None]
        return LossTerms({"kto": terms.masked_mean(values, taught)}, metrics={"kto/z": z})
