r"""CommonsenseQA: questions with five short choices that need no knowledge but common sense.

    accuracy          = share with the right choice at the highest Σ log p(token)
    accuracy_per_byte = the same with Σ log p(token) / bytes of the choice

A choice stands behind the bare "Question: …\nAnswer:", without the list of choices and without a
chat template. The authors report accuracy, of models that were trained to choose. For language
models that were not, the length-normalised figure is the usual one, since choices have one to
several words; the summed one is given beside it. Chance is 20 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neat_align.data.json_rows import Row
from neat_align.errors import DataError
from neat_align.evaluation.choices import ACCURACY, GOING_ON, choice_query
from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.rows import AS_PUBLISHED, rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read dev_rand_split.jsonl of CommonsenseQA (its test split has no answers)."""
    return list(_queries(rows_with(path, "answerKey")))


def _queries(rows: Iterator[Row]) -> Iterator[Query]:
    for place, row in rows:
        stem, choices = _question(row)
        if not stem or row["answerKey"] not in choices:
            why = "its question has no stem and labelled choices with the answer among them"
            raise DataError(place, why, AS_PUBLISHED)
        answer = list(choices).index(row["answerKey"])
        text = f"Question: {stem}\nAnswer:"
        yield choice_query(place, text, list(choices.values()), answer)


def _question(row: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return a question's text and its choices by label; nothing where it has none.

    In the file they stand under `question`; on the hub, beside it and as two columns.
    """
    try:
        if isinstance(row["question"], str):
            listed = row["choices"]
            return row["question"], dict(zip(listed["label"], listed["text"], strict=True))
        asked = row["question"]
        choices = {choice["label"]: choice["text"] for choice in asked["choices"]}
        return str(asked["stem"]), choices
    except (KeyError, TypeError, ValueError):
        return "", {}


COMMONSENSEQA = Task(
    name="commonsenseqa",
    title="CommonsenseQA",
    version="1",
    about="Does the model find the sensible answer likelier than four others?",
    licence="MIT",
    citation="Talmor et al. 2019, CommonsenseQA: A Question Answering Challenge Targeting "
    "Commonsense Knowledge",
    answered=GOING_ON,
    metrics=ACCURACY,
    read=read,
    suites=("abilities",),
    published=Published(
        "https://www.tau-nlp.org/commonsenseqa",
        ("commonsenseqa/dev_rand_split.jsonl",),
        Hub("tau/commonsense_qa", split="validation"),
    ),
)
