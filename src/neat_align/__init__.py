"""neat-align: tell a language model in plain words what it must not do, and train it not to.

Public names are resolved when they are first used, so that importing the package costs
nothing and `neat --help` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neat_align.objectives import CDPO as CDPO
    from neat_align.objectives import CPO as CPO
    from neat_align.objectives import D2O as D2O
    from neat_align.objectives import DPO as DPO
    from neat_align.objectives import IPO as IPO
    from neat_align.objectives import KTO as KTO
    from neat_align.objectives import NEAT as NEAT
    from neat_align.objectives import NEATPP as NEATPP
    from neat_align.objectives import NPO as NPO
    from neat_align.objectives import OBJECTIVES as OBJECTIVES
    from neat_align.objectives import ORPO as ORPO
    from neat_align.objectives import PRO as PRO
    from neat_align.objectives import RRHF as RRHF
    from neat_align.objectives import SFT as SFT
    from neat_align.objectives import SPPO as SPPO
    from neat_align.objectives import DPOHinge as DPOHinge
    from neat_align.objectives import GroupLogps as GroupLogps
    from neat_align.objectives import ListMLE as ListMLE
    from neat_align.objectives import LossTerms as LossTerms
    from neat_align.objectives import Objective as Objective
    from neat_align.objectives import RobustDPO as RobustDPO
    from neat_align.objectives import SimPO as SimPO
    from neat_align.objectives import SLiC as SLiC
    from neat_align.objectives import Unlikelihood as Unlikelihood
    from neat_align.objectives import check_objective as check_objective
    from neat_align.prompts.steering import Steering as Steering
    from neat_align.training.config import NEATConfig as NEATConfig
    from neat_align.training.trainer import NEATTrainer as NEATTrainer
    from neat_align.types import Group as Group
    from neat_align.types import Query as Query
    from neat_align.types import Response as Response
    from neat_align.types import Source as Source

__version__ = "0.1.0"

OF_OBJECTIVES = (
    "OBJECTIVES Objective GroupLogps LossTerms check_objective NEAT NEATPP RRHF PRO ListMLE SFT "
    "SLiC DPO DPOHinge CDPO RobustDPO IPO SimPO CPO ORPO KTO SPPO NPO Unlikelihood D2O"
)
_WHERE = {
    "NEATTrainer": "neat_align.training.trainer",
    "NEATConfig": "neat_align.training.config",
    "Steering": "neat_align.prompts.steering",
    **dict.fromkeys(OF_OBJECTIVES.split(), "neat_align.objectives"),
    **dict.fromkeys(("Query", "Response", "Group", "Source"), "neat_align.types"),
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'neat_align' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
