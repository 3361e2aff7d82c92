"""Identity preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class IPO(Objective):
    """(d_w/T_w − d_l/T_l − 1/(2β))², the log-ratios averaged over tokens.

    Paper: Azar et al. 2023 (arXiv 2310.12036), Eq. 17; the averaging over tokens is what its
    authors confirmed for language models.
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = parameter(0.1, POSITIVE)

    name = "ipo"
    needs_reference = True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        per_token = terms.log_ratios(logps) / logps.length.clamp(min=1)
        margin = terms.winner_margin(per_token, logps)
        loss = (margin - 1 / (2 * self.beta)) ** 2
        return LossTerms(
            {"ipo": loss.where(terms.has_winner(logps), 0.0)},
        )
