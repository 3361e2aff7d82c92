"""Your own questions with choices: rows of {query, choices, answer}."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.data.files import read_rows
from neat_align.errors import DataError
from neat_align.evaluation.choices import ACCURACY, choice_query, choices_of
from neat_align.evaluation.task import LogLikelihood, Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read rows with `query`, `choices` and `answer`, the place of the right one from 0."""
    return list(_queries(path))


def _queries(path: Path) -> Iterator[Query]:
    for place, row in read_rows(path):
        if not isinstance(row.get("query"), str):
            fix = 'write {"query": "…", "choices": ["…", "…"], "answer": 0}'
            raise DataError(place, "it has no text under `query`", fix)
        yield choice_query(place, row["query"], row.get("choices"), row.get("answer"))


CHOICES = Task(
    name="choices",
    title="Choices",
    version="1",
    about="Share of your questions of which the right answer is the likeliest.",
    licence="that of your rows",
    citation="none",
    answered=LogLikelihood(choices_of),
    metrics=ACCURACY,
    read=read,
)
