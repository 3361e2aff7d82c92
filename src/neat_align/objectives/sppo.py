"""Self-play preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class SPPO(Objective):
    """½[(d_w − (P_w − ½)/β)² + (d_l − (P_l − ½)/β)²], P_i = mean_j σ(r_i − r_j), self included.

    P is the probability of winning against a response of the group.

    Paper: Wu et al. 2024 (arXiv 2405.00675), with the win probabilities estimated
    in the group.
    Deviates: the squared errors of the best and the worst are averaged; a group of equal
    scores counts 0.
    """

    beta: float = 0.001

    name = "sppo"

    @property
    def needs_reference(self) -> bool:
        return True

    @property
    def score_range(self) -> tuple[float, float]:
        """The win probabilities are sigmoids of score differences."""
        return 0.05, 50.0

    def __call__(self, logps: GroupLogps) -> LossTerms:
        d, wins = terms.log_ratios(logps), terms.win_probabilities(logps)
        error = (d - (wins - 0.5) / self.beta) ** 2
        best, worst = terms.best(logps), terms.worst(logps)
        loss = 0.5 * (terms.pick(error, best) + terms.pick(error, worst))
        return LossTerms(
            {"sppo": torch.where(terms.has_winner(logps), loss, 0.0)},
        )
