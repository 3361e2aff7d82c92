"""Which of several answers a model finds likeliest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neat_align.errors import DataError
from neat_align.evaluation.metric import Metric, Sample
from neat_align.evaluation.task import LogLikelihood
from neat_align.types import Query


def choice_query(place: str, text: str, choices: Any, answer: Any, **meta: Any) -> Query:
    """Make the query of a question with choices.

    Args:
        place: where the row stands, for errors.
        choices: two or more texts.
        answer: the place of the right one, counted from 0.

    Raises:
        DataError: there are no such choices, or no such answer.
    """
    texts = choices if isinstance(choices, list) else []
    if len(texts) < 2 or not all(isinstance(c, str) and c.strip() for c in texts):
        why = "its choices are not two or more texts"
        raise DataError(place, why, 'write "choices": ["one", "other"]')
    number = answer if isinstance(answer, int) else int(answer) if _is_number(answer) else -1
    if not 0 <= number < len(texts):
        why = f"its answer {answer!r} is none of 0 to {len(texts) - 1}"
        raise DataError(place, why, "give the place of the right choice, counted from 0")
    return Query.from_text(text, choices=list(texts), answer=number, **meta)


def choices_of(query: Query) -> Sequence[str]:
    """Return the choices of a query made here."""
    found: Sequence[str] = query.meta["choices"]
    return found


WHOLE_TEXTS = LogLikelihood(choices_of, start=lambda query: "")
GOING_ON = LogLikelihood(choices_of, start=lambda query: query.text)


def texts_query(texts: Sequence[str], **meta: Any) -> Query:
    """Make a query of whole texts that are compared; its id is that of all of them."""
    return Query.from_text("\n".join(texts), choices=list(texts), **meta)


def first_is_likelier(sample: Sample) -> bool:
    """Tell whether the first text is likelier than the second."""
    first, second = sample["logps"]
    return bool(first > second)


def is_right(sample: Sample) -> bool:
    """Tell whether the likeliest choice is the right one."""
    return _likeliest(sample["logps"]) == sample["answer"]


def is_right_per_byte(sample: Sample) -> bool:
    """Tell the same of the log-likelihoods per byte, which do not favour short choices."""
    sizes = [len(choice.encode()) for choice in sample["choices"]]
    per_byte = [logp / size for logp, size in zip(sample["logps"], sizes, strict=True)]
    return _likeliest(per_byte) == sample["answer"]


def accuracy_among(
    kind: str, title: str, meaning: str, observe: Callable[[Sample], bool]
) -> Metric:
    """Make the metric of the queries of one kind alone."""

    def of_kind(sample: Sample) -> bool | None:
        return observe(sample) if sample["kind"] == kind else None

    return Metric(kind, title, meaning, "higher", "share", "side effects", observe=of_kind)


ACCURACY = (
    Metric(
        "accuracy",
        "accuracy",
        "Share of the questions of which the right choice is the likeliest.",
        "higher",
        "share",
        "side effects",
        observe=is_right,
    ),
    Metric(
        "accuracy_per_byte",
        "accuracy per byte",
        "The same by log-likelihood per byte, which does not favour short choices.",
        "higher",
        "share",
        "side effects",
        observe=is_right_per_byte,
    ),
)


def _likeliest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda i: values[i])


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.strip().isdigit()
