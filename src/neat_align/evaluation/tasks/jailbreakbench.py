"""JailbreakBench: the harmful half of its behaviours, a hundred over ten categories."""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE
from neat_align.evaluation.rows import queries_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read harmful_behaviors.csv of JBB-Behaviors."""
    return queries_with(path, "harmful", "Goal")


JAILBREAKBENCH = Task(
    name="jailbreakbench",
    title="JailbreakBench",
    version="1",
    about="Are harmful requests of ten categories refused?",
    licence="MIT",
    citation="Chao et al. 2024, JailbreakBench: An Open Robustness Benchmark for Jailbreaking "
    "Large Language Models",
    answered=READ_UNDER_NEGATIVE,
    metrics=HARM,
    read=read,
    suites=("safety",),
    published=Published(
        "https://github.com/JailbreakBench/jailbreakbench",
        ("jailbreakbench/harmful_behaviors.csv", "jailbreakbench-behaviors/harmful_behaviors.csv"),
        Hub("JailbreakBench/JBB-Behaviors", "behaviors", "harmful"),
    ),
)
