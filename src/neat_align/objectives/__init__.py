"""Objectives: from the log-probabilities of groups to named loss terms.

To add one: a frozen dataclass in a file of its own, with a `name`, and its class in the
tuple below. `check_objective` then runs on it in the tests.
"""

from neat_align.objectives.base import GroupLogps, LossTerms, Objective
from neat_align.objectives.contract import check_objective
from neat_align.objectives.dpo import DPO
from neat_align.objectives.neat import NEAT
from neat_align.objectives.neat_pp import NEATPP
from neat_align.objectives.rrhf import RRHF
from neat_align.objectives.sft import SFT

OBJECTIVES: dict[str, type[Objective]] = {
    objective.name: objective for objective in (NEAT, NEATPP, RRHF, SFT, DPO)
}

__all__ = [
    "DPO",
    "NEAT",
    "NEATPP",
    "OBJECTIVES",
    "RRHF",
    "SFT",
    "GroupLogps",
    "LossTerms",
    "Objective",
    "check_objective",
]
