"""neat-align: tell a language model in plain words what it must not do, and train it not to.

Public names are resolved when they are first used, so that importing the package costs
nothing and `neat --help` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neat_align.objectives import DPO as DPO
    from neat_align.objectives import NEAT as NEAT
    from neat_align.objectives import NEATPP as NEATPP
    from neat_align.objectives import OBJECTIVES as OBJECTIVES
    from neat_align.objectives import RRHF as RRHF
    from neat_align.objectives import SFT as SFT
    from neat_align.steering import Steering as Steering
    from neat_align.training.config import NEATConfig as NEATConfig
    from neat_align.training.trainer import NEATTrainer as NEATTrainer
    from neat_align.types import Group as Group
    from neat_align.types import Query as Query
    from neat_align.types import Response as Response
    from neat_align.types import Source as Source

__version__ = "0.1.0"

_WHERE = {
    "NEATTrainer": "neat_align.training.trainer",
    "NEATConfig": "neat_align.training.config",
    "Steering": "neat_align.steering",
    **dict.fromkeys(
        ("OBJECTIVES", "NEAT", "NEATPP", "RRHF", "SFT", "DPO"), "neat_align.objectives"
    ),
    **dict.fromkeys(("Query", "Response", "Group", "Source"), "neat_align.types"),
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'neat_align' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
