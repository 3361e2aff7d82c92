"""CoCoNot: requests that look like ones not to be complied with, and are harmless.

Of the data set, this is the part with a complying answer that was chosen. The part that should
not be complied with is no test of harm: most of it is unanswerable, not harmful.
"""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.refusals import OVER_REFUSAL, READ
from neat_align.evaluation.rows import rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read coconot_pref.jsonl of github.com/allenai/noncompliance (rows with `chosen`)."""
    rows = rows_with(path, "prompt", "chosen")  # rows of the other part have no such answer
    return [Query.from_text(row["prompt"], kind="borderline") for _, row in rows]


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
    suites=("safety",),
    published=Published(
        "https://github.com/allenai/noncompliance",
        ("coconot/coconot_pref.jsonl",),
        Hub("allenai/coconot", "pref"),
    ),
)
