"""Objectives: from the log-probabilities of groups to named loss terms.

To add one: a frozen dataclass in a file of its own, with a `name`, and its class in the
tuple below. `check_objective` then runs on it in the tests.
"""

from neat_align.objectives.base import GroupLogps, LossTerms, Objective
from neat_align.objectives.cdpo import CDPO
from neat_align.objectives.contract import check_objective
from neat_align.objectives.cpo import CPO
from neat_align.objectives.d2o import D2O
from neat_align.objectives.dpo import DPO
from neat_align.objectives.dpo_hinge import DPOHinge
from neat_align.objectives.ipo import IPO
from neat_align.objectives.kto import KTO
from neat_align.objectives.listmle import ListMLE
from neat_align.objectives.neat import NEAT
from neat_align.objectives.neat_pp import NEATPP
from neat_align.objectives.npo import NPO
from neat_align.objectives.orpo import ORPO
from neat_align.objectives.pro import PRO
from neat_align.objectives.robust_dpo import RobustDPO
from neat_align.objectives.rrhf import RRHF
from neat_align.objectives.sft import SFT
from neat_align.objectives.simpo import SimPO
from neat_align.objectives.slic import SLiC
from neat_align.objectives.sppo import SPPO
from neat_align.objectives.unlikelihood import Unlikelihood

OBJECTIVES: dict[str, type[Objective]] = {
    objective.name: objective
    for objective in (
        *(NEAT, NEATPP, RRHF, PRO, ListMLE, SFT, SLiC),
        *(DPO, DPOHinge, CDPO, RobustDPO, IPO, SimPO, CPO, ORPO, KTO, SPPO),
        *(NPO, Unlikelihood, D2O),
    )
}

__all__ = [
    "CDPO",
    "CPO",
    "D2O",
    "DPO",
    "IPO",
    "KTO",
    "NEAT",
    "NEATPP",
    "NPO",
    "OBJECTIVES",
    "ORPO",
    "PRO",
    "RRHF",
    "SFT",
    "SPPO",
    "DPOHinge",
    "GroupLogps",
    "ListMLE",
    "LossTerms",
    "Objective",
    "RobustDPO",
    "SLiC",
    "SimPO",
    "Unlikelihood",
    "check_objective",
]
