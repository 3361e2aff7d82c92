"""neat-align: tell a language model in plain words what it must not do, and train it not to.

Public names are resolved when they are first used, so that importing the package costs
nothing and `neat --help` needs no torch. An objective that is added needs no line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neat_align.data import DataSpec as DataSpec
    from neat_align.data import Preference as Preference
    from neat_align.data import load_groups as load_groups
    from neat_align.data import load_preferences as load_preferences
    from neat_align.data import load_queries as load_queries
    from neat_align.data import load_texts as load_texts
    from neat_align.data import save_groups as save_groups
    from neat_align.data import save_queries as save_queries
    from neat_align.errors import InputError as InputError
    from neat_align.errors import NeatError as NeatError
    from neat_align.evaluation import Evaluation as Evaluation
    from neat_align.evaluation import EvaluationSettings as EvaluationSettings
    from neat_align.evaluation import evaluate as evaluate
    from neat_align.models import load_causal_lm as load_causal_lm
    from neat_align.models import load_tokenizer as load_tokenizer
    from neat_align.models.layout import layout_of as layout_of
    from neat_align.models.layout.base import token_logps as token_logps
    from neat_align.models.logprobs import response_logps as response_logps
    from neat_align.models.tokenized import tokenize_group as tokenize_group
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
    from neat_align.prompts.chat import PromptFormat as PromptFormat
    from neat_align.prompts.steering import Steering as Steering
    from neat_align.prompts.steering import steering_names as steering_names
    from neat_align.sampling.base import Decoding as Decoding
    from neat_align.sampling.base import Sampler as Sampler
    from neat_align.sampling.base import SamplingRequest as SamplingRequest
    from neat_align.sampling.groups import GroupMaker as GroupMaker
    from neat_align.sampling.groups import sample_groups as sample_groups
    from neat_align.sampling.local import TransformersSampler as TransformersSampler
    from neat_align.sampling.plan import GroupPlan as GroupPlan
    from neat_align.sampling.scripted import ScriptedSampler as ScriptedSampler
    from neat_align.scoring import RewardFunction as RewardFunction
    from neat_align.scoring import Scorer as Scorer
    from neat_align.scoring import ScorerSet as ScorerSet
    from neat_align.scoring import resolve_scorer as resolve_scorer
    from neat_align.training.config import NEATConfig as NEATConfig
    from neat_align.training.trainer import NEATTrainer as NEATTrainer
    from neat_align.types import Document as Document
    from neat_align.types import Group as Group
    from neat_align.types import Message as Message
    from neat_align.types import Query as Query
    from neat_align.types import Response as Response
    from neat_align.types import Source as Source

__version__ = "0.1.0"

_NAMES = {
    "errors": "InputError NeatError",
    "types": "Document Group Message Query Response Source",
    "prompts.steering": "Steering steering_names",
    "prompts.chat": "PromptFormat",
    "data": (
        "DataSpec Preference load_groups load_preferences load_queries load_texts "
        "save_groups save_queries"
    ),
    "models": "load_causal_lm load_tokenizer",
    "models.tokenized": "tokenize_group",
    "models.layout": "layout_of",
    "models.layout.base": "token_logps",
    "models.logprobs": "response_logps",
    "sampling.base": "Decoding Sampler SamplingRequest",
    "sampling.groups": "GroupMaker sample_groups",
    "sampling.plan": "GroupPlan",
    "sampling.local": "TransformersSampler",
    "sampling.scripted": "ScriptedSampler",
    "scoring": "RewardFunction Scorer ScorerSet resolve_scorer",
    "objectives": (
        "OBJECTIVES Objective GroupLogps LossTerms check_objective NEAT NEATPP RRHF PRO "
        "ListMLE SFT SLiC DPO DPOHinge CDPO RobustDPO IPO SimPO CPO ORPO KTO SPPO NPO "
        "Unlikelihood D2O"
    ),
    "evaluation": "Evaluation EvaluationSettings evaluate",
    "training.config": "NEATConfig",
    "training.trainer": "NEATTrainer",
}
"""Module → its public names; those above, for type checkers, are the same (a test compares)."""
_WHERE = {
    name: f"neat_align.{module}" for module, names in _NAMES.items() for name in names.split()
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name[:1].isupper():
        objectives = import_module("neat_align.objectives").OBJECTIVES
        for objective in objectives.values():
            if objective.__name__ == name:
                return objective
    raise AttributeError(f"module 'neat_align' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
