"""A text in `prompt`, `query` or `question`, alone or with answers (TRL's standard form)."""

from __future__ import annotations

from neat_align.data.format import (
    ANSWERS,
    Format,
    Row,
    beside,
    prompt_column,
    with_answer_texts,
)
from neat_align.errors import DataError
from neat_align.types import Message, Query


def _recognises(row: Row) -> bool:
    return prompt_column(row) is not None


def _query(row: Row) -> Query:
    column = str(prompt_column(row))
    text = row[column]
    if not isinstance(text, str):
        raise DataError(
            f"column {column!r} with {str(text)[:60]}",
            f"a query is a text or a list of turns, not {type(text).__name__}",
            "convert it, or name another column with columns={'prompt': …}",
        )
    meta = with_answer_texts(beside(row, column, "conversational"))
    return Query((Message("user", text),), meta, conversational=False)


FORMAT = Format(("prompt", "query", "question", *ANSWERS), _recognises, _query, order=40)
