"""Evaluation: what changed, and at what price."""

from neat_align.evaluation.safety import Checker, resolve_checker
from neat_align.evaluation.statistics import Interval
from neat_align.evaluation.suite import Evaluated, Evaluation, EvaluationSettings, evaluate

__all__ = [
    "Checker",
    "Evaluated",
    "Evaluation",
    "EvaluationSettings",
    "Interval",
    "evaluate",
    "resolve_checker",
]
