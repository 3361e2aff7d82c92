"""Contrastive preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from neat_align.objectives import terms
from neat_align.objectives.base import GroupLogps, LossTerms, Objective


@dataclass(frozen=True)
class CPO(Objective):
    """softplus(−β(s_w − s_l)) − lm_weight · a_w.

    Paper: Xu et al. 2024 (arXiv 2401.08417), with the behaviour-cloning term.
    Deviates: the pair comes from a group of any size; without a winner only the
    language-modelling term is left.
    """

    beta: float = 0.1
    lm_weight: float = 1.0

    name = "cpo"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        margin = self.beta * terms.winner_margin(terms.sums(logps), logps)
        loss = terms.negative_log_sigmoid(margin)
        return LossTerms(
            {
                "cpo": torch.where(terms.has_winner(logps), loss, 0.0),
                "lm": terms.best_nll(logps),
            },
            weights={"lm": self.lm_weight},
        )
