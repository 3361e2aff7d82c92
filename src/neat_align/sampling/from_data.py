"""Answers that stand beside the queries in the data, as one of the channels of steering.

Nobody draws them, so they have neither a seed nor token ids of a draw; their log-probs are
computed as those of any other answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from neat_align.errors import DataError
from neat_align.prompts.phrasing import Phrasing
from neat_align.types import Query


def column_problems(
    queries: Iterable[Query], phrasings: Iterable[Phrasing], shown: int = 5
) -> list[DataError]:
    """List an error for each of the first few queries without an answer that a phrasing takes."""
    columns = list(dict.fromkeys(one.column for one in phrasings if one.column))
    if not columns:
        return []
    lacking = (
        missing_in(query, column)
        for query in queries
        for column in columns
        if answer_in(query, column) is None
    )
    return list(islice(lacking, shown))


def answer_in(query: Query, column: str) -> str | None:
    """Return the answer in a column of the query's data; None without one."""
    value = query.meta.get(column)
    return value if isinstance(value, str) and value.strip() else None


def missing_in(query: Query, column: str) -> DataError:
    """Make the error of a query without an answer in a column."""
    there = ", ".join(sorted(name for name, v in query.meta.items() if isinstance(v, str)))
    return DataError(
        f"{query.named} without an answer in the column {column!r}",
        "the steering takes an answer to every query from there "
        f"(its columns of text: {there or 'none'})",
        "fill the column in, leave the row out, or name another one",
    )
