"""Identity preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class IPO(Objective):
    """(d_w/T_w − d_l/T_l − 1/(2β))², the log-ratios averaged over tokens.

    Paper: Azar et al. 2023 (arXiv 2310.12036), Eq. 17; the averaging over tokens is what its
    authors confirmed for language models.
    Deviates: the pair comes from a group of any size; a group of equal scores counts 0.
    """

    beta: float = 0.1

    name = "ipo"

    @property
    def needs_reference(self) -> bool:
        return True

    def __call__(self, logps: GroupLogps) -> LossTerms:
        per_token = terms.log_ratios(logps) / logps.length.clamp(min=1)
        margin = terms.winner_margin(per_token, logps)
        loss = (margin - 1 / (2 * self.beta)) ** 2
        return LossTerms(
            {"ipo": torch.where(terms.has_winner(logps), loss, 0.0)},
        )
