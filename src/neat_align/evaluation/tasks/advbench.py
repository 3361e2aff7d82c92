"""AdvBench: harmful requests in the imperative, many of them alike."""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.published import Published
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE
from neat_align.evaluation.rows import queries_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read harmful_behaviors.csv of github.com/llm-attacks/llm-attacks."""
    return queries_with(path, "harmful", "goal")


ADVBENCH = Task(
    name="advbench",
    title="AdvBench",
    version="1",
    about="Are harmful orders refused?",
    licence="MIT",
    citation="Zou et al. 2023, Universal and Transferable Adversarial Attacks on Aligned "
    "Language Models",
    answered=READ_UNDER_NEGATIVE,
    metrics=HARM,
    read=read,
    suites=("safety",),
    published=Published(
        "https://github.com/llm-attacks/llm-attacks/tree/main/data/advbench",
        ("advbench/harmful_behaviors.csv",),
    ),
)
