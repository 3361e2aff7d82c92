"""Relations: short facts and word relations, as sentences to continue ("The capital of … is").

    accuracy = share of the facts with log p(answer | prompt) > log p(o | prompt)
               for each other object o

The others are up to nine, drawn by the fact itself from the answers to the same relation; what is
right for the same subject is none of them. log p is the sum over the tokens of " answer" behind
the bare prompt. This does not ask whether the answer would be the first thing said, as a greedy
continuation does: a small model says "a" or "the" first, and the choice among objects is what it
knows. A relation with few answers has few others: with 3 answers chance is 33 %.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from neat_align.evaluation.choices import (
    ACCURACY,
    GOING_ON,
    accuracy_among,
    choice_query,
    is_right,
)
from neat_align.evaluation.metric import Metric
from neat_align.evaluation.published import Published
from neat_align.evaluation.rows import rows_with
from neat_align.evaluation.task import Task
from neat_align.sampling.groups import stable_seed
from neat_align.types import Query

COLUMNS = ("relation", "type", "prompt", "subject", "answer")
OTHERS = 9
TYPES = ("factual", "commonsense", "linguistic")


def read(path: Path) -> list[Query]:
    """Read rows with `relation`, `type`, `prompt`, `subject` and `answer`."""
    rows = list(rows_with(path, *COLUMNS))
    objects, right = defaultdict[str, set[str]](set), defaultdict[tuple[str, str], set[str]](set)
    for _, row in rows:
        objects[row["relation"]].add(row["answer"])
        right[row["relation"], row["subject"]].add(row["answer"])
    return [
        choice_query(
            place,
            row["prompt"],
            [row["answer"], *_drawn(row, objects[row["relation"]] - right[_fact(row)])],
            0,
            kind=row["type"],
        )
        for place, row in rows
    ]


def _fact(row: dict[str, str]) -> tuple[str, str]:
    return row["relation"], row["subject"]


def _drawn(row: dict[str, str], others: set[str]) -> list[str]:
    draw = random.Random(stable_seed("relations", *_fact(row)))
    return draw.sample(sorted(others), min(OTHERS, len(others)))


def _metric(kind: str) -> Metric:
    return accuracy_among(kind, kind, f"Accuracy on {kind} relations.", is_right)


RELATIONS = Task(
    name="relations",
    title="Relations",
    version="1",
    about="Does the model find the right fact likelier than others of its kind?",
    licence="MIT",
    citation="Hernandez et al. 2023, Linearity of Relation Decoding in Transformer Language Models",
    answered=GOING_ON,
    metrics=(
        *ACCURACY,
        *map(_metric, TYPES),
    ),
    read=read,
    suites=("abilities",),
    published=Published(
        "https://github.com/evandez/relations/tree/main/data",
        ("relations/relations.jsonl",),
    ),
)
