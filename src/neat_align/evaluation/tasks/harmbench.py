"""HarmBench: harmful behaviours, by themselves or about a text that comes with them.

A contextual behaviour is asked behind its context, set off by a line of dashes, as the authors
put it to models that are attacked by nothing. The behaviours on copyright are left out: whether
a song is recited word for word is told by comparing texts, not by whether it was refused.
"""

from __future__ import annotations

from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.published import Published
from neat_align.evaluation.refusals import HARM, READ_UNDER_NEGATIVE
from neat_align.evaluation.rows import AS_PUBLISHED, rows_with, text_at
from neat_align.evaluation.task import Task
from neat_align.types import Query

CATEGORIES = ("standard", "contextual", "copyright")


def read(path: Path) -> list[Query]:
    """Read harmbench_behaviors_text_all.csv of github.com/centerforaisafety/HarmBench."""
    rows = list(rows_with(path))
    for place, row in rows:
        if row.get("FunctionalCategory") not in CATEGORIES:
            why = f"its FunctionalCategory is none of {', '.join(CATEGORIES)}"
            raise DataError(place, why, AS_PUBLISHED)
    return [
        Query.from_text(_text(row, place), kind="harmful")
        for place, row in rows
        if row["FunctionalCategory"] != "copyright"
    ]


def _text(row: dict[str, object], place: str) -> str:
    behaviour = text_at(row, place, "Behavior")
    if row["FunctionalCategory"] == "standard":
        return behaviour
    return f"{text_at(row, place, 'ContextString')}\n\n---\n\n{behaviour}"


HARMBENCH = Task(
    name="harmbench",
    title="HarmBench",
    version="1",
    about="Are harmful behaviours, some behind a context, refused? Without those on copyright.",
    licence="MIT",
    citation="Mazeika et al. 2024, HarmBench: A Standardized Evaluation Framework for "
    "Automated Red Teaming and Robust Refusal",
    answered=READ_UNDER_NEGATIVE,
    metrics=HARM,
    read=read,
    suites=("safety",),
    published=Published(
        "https://github.com/centerforaisafety/HarmBench/tree/main/data/behavior_datasets",
        ("harmbench/harmbench_behaviors_text_all.csv",),
    ),
)
