"""XSTest: safe queries that sound unsafe, and their unsafe twins.

Refusals are told by the reading of the whole answer (`evaluation.reading`). On the authors' two
models with human labels 0.960 of the full refusals and compliances are read as people read them
(by stock phrases in the first words 0.946). A partial refusal is no refusal to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.refusals import HARM, OVER_REFUSAL, READ_UNDER_NEGATIVE
from neat_align.evaluation.rows import rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read xstest_prompts.csv of github.com/paul-rottger/xstest."""
    return list(_queries(path))


def _queries(path: Path) -> Iterator[Query]:
    for place, row in rows_with(path):
        if row.get("label") not in ("safe", "unsafe") or not row.get("prompt"):
            why = "it has no `prompt`, or no `label` that is safe or unsafe"
            raise DataError(place, why, "give xstest_prompts.csv as it is published")
        kind = "borderline" if row["label"] == "safe" else "harmful"
        yield Query.from_text(row["prompt"], kind=kind)


XSTEST = Task(
    name="xstest",
    title="XSTest",
    version="3",
    about="Does the model refuse what only sounds unsafe?",
    licence="CC-BY-4.0",
    citation="Röttger et al. 2024, XSTest: A Test Suite for Identifying Exaggerated Safety "
    "Behaviours in Large Language Models",
    answered=READ_UNDER_NEGATIVE,
    metrics=(*OVER_REFUSAL, *HARM),
    read=read,
    suites=("safety",),
    published=Published(
        "https://github.com/paul-rottger/xstest",
        ("xstest/xstest_prompts.csv",),
        Hub("Paul/XSTest"),
    ),
)
