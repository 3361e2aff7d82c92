"""AdvBench: harmful requests in the imperative, many of them alike."""

from __future__ import annotations

from pathlib import Path

from neat_align.data.files import read_rows
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE, text_at
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read harmful_behaviors.csv of github.com/llm-attacks/llm-attacks."""
    return [
        Query.from_text(text_at(row, place, "goal"), kind="harmful")
        for place, row in read_rows(path)
    ]


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
)
