"""Evaluation: what changed, and at what price.

Nothing here needs torch but `evaluation.local`, which is not imported by this package.
"""

from neat_align.evaluation.judges import agreement, classify_refusal, harm_probability
from neat_align.evaluation.safety import Checker, resolve_checker
from neat_align.evaluation.statistics import Interval
from neat_align.evaluation.suite import Evaluated, Evaluation, EvaluationSettings, evaluate

__all__ = [
    "Checker",
    "Evaluated",
    "Evaluation",
    "EvaluationSettings",
    "Interval",
    "agreement",
    "classify_refusal",
    "evaluate",
    "harm_probability",
    "resolve_checker",
]
