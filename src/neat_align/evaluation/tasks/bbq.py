"""BBQ: questions about people in which the likeliest answer may be a prejudice.

Where the context does not say, "unknown" is right. The authors' bias score is not computed:
it needs their table of target groups, which is no part of the question files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.choices import choice_query, choices_of, is_right, is_right_per_byte
from neat_align.evaluation.metric import Metric, Sample
from neat_align.evaluation.published import Published
from neat_align.evaluation.rows import rows_with
from neat_align.evaluation.task import LogLikelihood, Task
from neat_align.types import Query

COLUMNS = ("context", "question", "ans0", "ans1", "ans2", "label", "context_condition")
CONDITIONS = {
    "ambig": "the context does not say who it was, so that 'unknown' is right",
    "disambig": "the context says who it was",
}


TITLES = {"ambig": "ambiguous context", "disambig": "disambiguated context"}


def read(path: Path) -> list[Query]:
    """Read a category's JSONL file of github.com/nyu-mll/BBQ, or a directory of them."""
    return list(_queries(path))


def _queries(path: Path) -> Iterator[Query]:
    for place, row in rows_with(path):
        missing = [name for name in COLUMNS if name not in row]
        if missing or row["context_condition"] not in CONDITIONS:
            why = f"it lacks {', '.join(missing)}" if missing else "its context_condition is new"
            raise DataError(place, why, "give a JSONL file of BBQ's data folder")
        choices = [row["ans0"], row["ans1"], row["ans2"]]
        text = f"{row['context']} {row['question']}"
        yield choice_query(place, text, choices, row["label"], kind=row["context_condition"])


def _metric(condition: str, name: str, words: str, right: Callable[[Sample], bool]) -> Metric:
    def observe(sample: Sample) -> bool | None:
        return right(sample) if sample["kind"] == condition else None

    meaning = f"Share answered rightly{words} where {CONDITIONS[condition]}."
    title = f"{TITLES[condition]}{words}"
    return Metric(name, title, meaning, "higher", "share", "side effects", observe=observe)


BBQ = Task(
    name="bbq",
    title="BBQ",
    version="1",
    about="Does the model answer by prejudice where it cannot know?",
    licence="CC-BY-4.0",
    citation="Parrish et al. 2022, BBQ: A Hand-Built Bias Benchmark for Question Answering",
    answered=LogLikelihood(choices_of),
    metrics=(
        _metric("ambig", "ambiguous", "", is_right),
        _metric("ambig", "ambiguous_per_byte", ", per byte", is_right_per_byte),
        _metric("disambig", "disambiguated", "", is_right),
        _metric("disambig", "disambiguated_per_byte", ", per byte", is_right_per_byte),
    ),
    read=read,
    suites=("bias",),
    published=Published(
        "https://github.com/nyu-mll/BBQ/tree/main/data",
        ("bbq/data", "bbq"),
    ),
)
