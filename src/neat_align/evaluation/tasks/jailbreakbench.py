"""JailbreakBench: the harmful half of its behaviours, a hundred over ten categories."""

from __future__ import annotations

from pathlib import Path

from neat_align.data.files import read_rows
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE, text_at
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read harmful_behaviors.csv of JBB-Behaviors."""
    return [
        Query.from_text(text_at(row, place, "Goal"), kind="harmful")
        for place, row in read_rows(path)
    ]


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
)
