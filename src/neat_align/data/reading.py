"""A row of any format as a query, a preference or a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neat_align.data.beside import refuse_media, with_beside
from neat_align.data.format import ANSWERS, PROMPT_COLUMNS, Diverging, Format, NoPreference, Row
from neat_align.data.formats import formats
from neat_align.errors import DataError
from neat_align.types import Query


@dataclass(frozen=True)
class Preference:
    """A query with a better and a worse answer."""

    query: Query
    chosen: str
    rejected: str


def query_of(row: Row) -> Query:
    """Make the query of a row; the other columns become its `meta`.

    `chosen` and `rejected` are there as the text of the answer alone.

    Raises:
        DataError: the row holds no query, something that is no conversation, or a part of
            one that would not reach the model.
        Diverging: it holds two transcripts that answer different conversations.
    """
    refuse_media(row)
    format = _format_of(row)
    if format is None or format.query is None:
        raise _no_query(row)
    return with_beside(format.query(row), row)


def query_or_chosen(row: Row) -> Query:
    """Make the query of a row; of two transcripts that diverge, the chosen one's."""
    try:
        return query_of(row)
    except Diverging:
        return query_of({k: v for k, v in row.items() if k != "rejected"})


def preference_of(row: Row) -> Preference:
    """Make the preference of a row.

    Raises:
        DataError: no query, or no chosen and rejected answer.
        NoPreference: it has all of these, but prefers nothing: the conversations diverge, or
            the answers are equal, or one is empty.
    """
    format = _format_of(row)
    missing = [name for name in (format.answers if format else ANSWERS) if row.get(name) is None]
    if missing:
        raise DataError(
            f"a row with the columns {_columns(row)}",
            f"a preference needs a chosen and a rejected answer; {' and '.join(missing)} is absent",
            "map them with columns={'chosen': …, 'rejected': …}",
        )
    query = query_of(row)
    chosen, rejected = (query.meta[name] for name in ANSWERS)
    if not chosen.strip() or not rejected.strip():
        raise NoPreference("an empty answer", "there is nothing to learn from it")
    if chosen == rejected:
        raise NoPreference("equal answers", "neither is the better one")
    return Preference(query, chosen, rejected)


def text_of(row: Row) -> str:
    """Take the text of a row: its `text`, or the chosen transcript of HH-RLHF.

    Raises:
        DataError: it has none.
    """
    columns = (name for format in formats() for name in format.texts)
    value: Any = next((row[name] for name in columns if row.get(name)), None)
    if not isinstance(value, str) or not value.strip():
        raise DataError(
            f"a row with the columns {', '.join(map(repr, row))}",
            "it has no text",
            "map the column with columns={'text': …}",
        )
    return value


def _format_of(row: Row) -> Format | None:
    return next((f for f in formats() if f.recognises and f.recognises(row)), None)


def _no_query(row: Row) -> DataError:
    empty = [name for name in PROMPT_COLUMNS if name in row]
    given = f"a row with the columns {_columns(row)}"
    if empty:
        return DataError(given, f"its {empty[0]} is empty", "fill it in, or remove the row")
    why = "it has no query: no prompt, no messages, and chosen is no transcript"
    fix = f"map one with columns={{'prompt': …}}, or use one of {', '.join(PROMPT_COLUMNS)}"
    return DataError(given, why, fix)


def _columns(row: Row) -> str:
    return ", ".join(map(repr, row)) or "(none)"
