"""Self-play preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class SPPO(Objective):
    """½[(d_w − (P_w − ½)/β)² + (d_l − (P_l − ½)/β)²], P_i = mean_j σ(r_i − r_j), self included.

    P is the probability of winning against a response of the group.

    Paper: Wu et al. 2024 (arXiv 2405.00675), with the win probabilities estimated
    in the group.
    Deviates: the squared errors of the best and the worst are averaged; a group of equal
    scores counts 0.
    """

    beta: float = parameter(0.001, POSITIVE)

    name = "sppo"
    needs_reference = True
    score_range = (0.05, 50.0)  # the win probabilities are sigmoids of score differences

    def __call__(self, logps: GroupLogps) -> LossTerms:
        d, wins = terms.log_ratios(logps), terms.win_probabilities(logps)
        error = (d - (wins - 0.5) / self.beta) ** 2
        best, worst = terms.best(logps), terms.worst(logps)
        loss = 0.5 * (terms.pick(error, best) + terms.pick(error, worst))
        return LossTerms(
            {"sppo": loss.where(terms.has_winner(logps), 0.0)},
        )
