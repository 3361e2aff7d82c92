"""MAWPS: arithmetic word problems of one or a few steps.

    accuracy = share of the answers whose last number is the problem's, to 0.001

The problem is asked as it stands, by the chat template, and answered greedily with at most 128
tokens. An answer without a number is wrong; one that is cut counts by its last number so far.
Commas in numbers are read, fractions are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.metric import Metric, Sample
from neat_align.evaluation.published import Published
from neat_align.evaluation.rows import AS_PUBLISHED, rows_with
from neat_align.evaluation.task import Generate, Task
from neat_align.types import Group, Query

NUMBER = re.compile(r"(?:(?<!\S)-)?\d[\d,]*(?:\.\d+)?")
NEAR = 1e-3


class LastNumber:
    """Score 1 where the last number of an answer is the query's `answer`, else 0."""

    name = "last_number"

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Score every response of every group."""
        return [
            [float(_is_right(r.text, group.query.meta["answer"])) for r in group.responses]
            for group in groups
        ]


def _is_right(text: str, answer: float) -> bool:
    numbers = NUMBER.findall(text)
    return bool(numbers) and abs(float(numbers[-1].replace(",", "")) - answer) <= NEAR


def read(path: Path) -> list[Query]:
    """Read mawps_NAME.jsonl of github.com/reasoning-machines/pal, or a directory of them."""
    return [_query(place, row) for place, row in rows_with(path, "input")]


def _query(place: str, row: dict[str, object]) -> Query:
    target = row.get("target")
    if not isinstance(target, int | float):
        raise DataError(place, "it has no number under target", AS_PUBLISHED)
    return Query.from_text(str(row["input"]), kind="problem", answer=float(target))


def _accuracy(sample: Sample) -> bool:
    return bool(sample["scores"]["last_number"])


MAWPS = Task(
    name="mawps",
    title="MAWPS",
    version="1",
    about="Does the model solve arithmetic word problems?",
    licence="MIT, as data cards state it; the repository Apache-2.0",
    citation="Koncel-Kedziorski et al. 2016, MAWPS: A Math Word Problem Repository",
    answered=Generate(max_new_tokens=128, scorers={"last_number": LastNumber()}),
    metrics=(
        Metric(
            "accuracy",
            "accuracy",
            "Share of the answers whose last number is right.",
            "higher",
            "share",
            "side effects",
            observe=_accuracy,
        ),
    ),
    read=read,
    suites=("abilities",),
    published=Published(
        "https://github.com/reasoning-machines/pal/tree/main/datasets",
        ("mawps",),
    ),
)
