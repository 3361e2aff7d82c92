"""Odds-ratio preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

from neat_align.objectives import terms
from neat_align.objectives.base import POSITIVE, GroupLogps, LossTerms, Objective, parameter


@dataclass(frozen=True)
class ORPO(Objective):
    """−a_w + β · softplus(−(o_w − o_l)), o = a − log(1 − e^a) being the log-odds.

    Paper: Hong et al. 2024 (arXiv 2403.07691), Eq. 6 and 7.
    Deviates: the pair comes from a group of any size; without a winner only the
    language-modelling term is left.
    """

    beta: float = parameter(0.1, POSITIVE)

    name = "orpo"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        margin = terms.winner_margin(terms.log_odds(logps), logps)
        loss = terms.negative_log_sigmoid(margin)
        return LossTerms(
            {
                "odds_ratio": loss.where(terms.has_winner(logps), 0.0),
                "lm": terms.best_nll(logps),
            },
            weights={"odds_ratio": self.beta},
        )
