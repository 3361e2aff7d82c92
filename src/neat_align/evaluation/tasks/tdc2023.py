"""TDC 2023: the harmful behaviours of the red-teaming track. Some are in HarmBench, too."""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.published import Published
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE
from neat_align.evaluation.rows import queries_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read rows with `query`, or the list of texts of centerforaisafety/tdc2023-starter-kit."""
    return queries_with(path, "harmful", "query", "prompt")


TDC2023 = Task(
    name="tdc2023",
    title="TDC 2023",
    version="1",
    about="Are the harmful orders of a red-teaming challenge refused?",
    licence="MIT",
    citation="Mazeika et al. 2023, TDC 2023 (LLM Edition): The Trojan Detection Challenge",
    answered=READ_UNDER_NEGATIVE,
    metrics=HARM,
    read=read,
    suites=("safety",),
    published=Published(
        "https://github.com/centerforaisafety/tdc2023-starter-kit",
        ("tdc2023/behaviors.jsonl", "tdc2023/behaviors.json"),
    ),
)
