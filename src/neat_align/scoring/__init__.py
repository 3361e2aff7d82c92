"""Scorers: groups in, a score per response out.

Scorers that have a name are the files of `named`. The reward model, which needs torch, is
imported when one is asked for.
"""

from neat_align.scoring.base import Bound, NamedScorer, Need, Scorer, Takes
from neat_align.scoring.combination import Combination
from neat_align.scoring.functions import RewardFunction
from neat_align.scoring.named.polarity import Polarity
from neat_align.scoring.registry import by_name, named_scorers
from neat_align.scoring.resolve import (
    bind_scorer,
    check_scorer_value,
    import_problems,
    is_outside,
    loads_model,
    needs_of,
    resolve_scorer,
    unmet_problems,
)
from neat_align.scoring.scorer_set import ScorerSet
from neat_align.scoring.user_code import load_function

__all__ = [
    "Bound",
    "Combination",
    "NamedScorer",
    "Need",
    "Polarity",
    "RewardFunction",
    "Scorer",
    "ScorerSet",
    "Takes",
    "bind_scorer",
    "by_name",
    "check_scorer_value",
    "import_problems",
    "is_outside",
    "load_function",
    "loads_model",
    "named_scorers",
    "needs_of",
    "resolve_scorer",
    "unmet_problems",
]
