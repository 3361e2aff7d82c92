"""CoCoNot: requests that look like ones not to be complied with, and are harmless.

Of the data set, this is the part with a complying answer that was chosen. The part that should
not be complied with is no test of harm: most of it is unanswerable, not harmful.
"""

from __future__ import annotations

from pathlib import Path

from neat_align.data.files import read_rows
from neat_align.evaluation.refusals import OVER_REFUSAL, READ, text_at
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read coconot_pref.jsonl of github.com/allenai/noncompliance (rows with `chosen`)."""
    return [_query(row, place) for place, row in read_rows(path)]


def _query(row: dict[str, object], place: str) -> Query:
    text_at(row, place, "chosen")  # rows of the other part have none
    return Query.from_text(text_at(row, place, "prompt"), kind="borderline")


COCONOT = Task(
    name="coconot",
    title="CoCoNot",
    version="1",
    about="Are requests refused that only look like ones not to comply with?",
    licence="ODC-BY-1.0",
    citation="Brahman et al. 2024, The Art of Saying No: Contextual Noncompliance in Language "
    "Models",
    answered=READ,
    metrics=OVER_REFUSAL,
    read=read,
)
