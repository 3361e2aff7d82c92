"""Scorers: groups in, a score for each response out.

The reward model, which needs torch, is imported when one is asked for.
"""

from neat_align.scoring.base import Scorer
from neat_align.scoring.combine import ScorerSet
from neat_align.scoring.functions import RewardFunction
from neat_align.scoring.polarity import Polarity
from neat_align.scoring.resolve import (
    check_scorer_value,
    import_problems,
    load_function,
    resolve_scorer,
)

__all__ = [
    "Polarity",
    "RewardFunction",
    "Scorer",
    "ScorerSet",
    "check_scorer_value",
    "import_problems",
    "load_function",
    "resolve_scorer",
]
