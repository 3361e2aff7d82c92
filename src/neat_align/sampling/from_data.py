"""Answers that stand beside the queries in the data, as one of the channels of steering.

Nobody draws them, so they have neither a seed nor token ids of a draw; their log-probs are
computed as those of any other answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from neat_align.errors import DataError
from neat_align.prompts.phrasing import Phrasing
from neat_align.sampling.base import SamplingRequest
from neat_align.types import Query, Response

Draw = Callable[[Sequence[SamplingRequest]], Sequence[Response | None]]


def with_data_answers(requests: Sequence[SamplingRequest], draw: Draw) -> list[Response | None]:
    """Answer each request, in order: by its column where it names one, else by drawing.

    Args:
        draw: called once with all others, be there any or not.

    Raises:
        DataError: a query has no answer in the column.
    """
    drawn = iter(draw([request for request in requests if not request.column]))
    return [_taken(request) if request.column else next(drawn) for request in requests]


def column_problems(
    queries: Iterable[Query], phrasings: Iterable[Phrasing], shown: int = 5
) -> list[DataError]:
    """List an error for each of the first few queries without an answer that a phrasing takes."""
    columns = list(dict.fromkeys(one.column for one in phrasings if one.column))
    if not columns:
        return []
    lacking = (
        _missing(query, column)
        for query in queries
        for column in columns
        if _answer(query, column) is None
    )
    return list(islice(lacking, shown))


def _taken(request: SamplingRequest) -> Response:
    text = _answer(request.query, request.column)
    if text is None:
        raise _missing(request.query, request.column)
    return Response(text, sampler="data", **request.provenance)


def _answer(query: Query, column: str) -> str | None:
    value = query.meta.get(column)
    return value if isinstance(value, str) and value.strip() else None


def _missing(query: Query, column: str) -> DataError:
    there = ", ".join(sorted(name for name, v in query.meta.items() if isinstance(v, str)))
    return DataError(
        f"{query.named} without an answer in the column {column!r}",
        "the steering takes an answer to every query from there "
        f"(its columns of text: {there or 'none'})",
        "fill the column in, leave the row out, or name another one",
    )
