"""Queries, preferences and texts, from files and from hub data sets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from neat_align.data.format import NoPreference
from neat_align.data.groups.seen import SeenIds
from neat_align.data.groups.wide import json_text
from neat_align.data.reading import Preference, preference_of, query_or_chosen, text_of
from neat_align.data.rows import check_rows, record_of, rows_of
from neat_align.data.source import DataSpec, each_row, rows_from
from neat_align.errors import DataError
from neat_align.storage.atomic import atomic_write_text
from neat_align.types import Group, Query

T = TypeVar("T")


@dataclass(frozen=True)
class Preferences:
    """Preference pairs, and how many rows were dropped for which reason."""

    rows: list[Preference]
    dropped: dict[str, int]


def load_queries(source: DataSpec | str | Path | Any) -> list[Query]:
    """Read the queries of a data set, each once (the first of equal ones).

    HH-RLHF rows whose two transcripts diverge still hold a query: the chosen one's.

    Args:
        source: where rows come from, or a file; or rows themselves: texts, conversations,
            mappings, a `datasets.Dataset`, a DataFrame. A stream is read to its end.

    Raises:
        DataError: a file or rows that cannot be used; several are reported at once.
    """
    spec = DataSpec(source) if isinstance(source, str | Path) else source
    found = _collect(spec, query_or_chosen) if isinstance(spec, DataSpec) else _own_queries(spec)
    queries: dict[str, Query] = {}
    for query in found:
        queries.setdefault(query.id, query)
    return list(queries.values())


def load_preferences(spec: DataSpec) -> Preferences:
    """Read the preference pairs of a data set.

    Dropped, and counted by reason: rows in good form that prefer nothing (`NoPreference`).

    Raises:
        DataError: rows without a query or without a pair of answers, or nothing left.
    """
    dropped: Counter[str] = Counter()

    def pair(row: Mapping[str, Any]) -> Preference | None:
        try:
            return preference_of(row)
        except NoPreference as error:
            dropped[error.reason] += 1
            return None

    rows = [p for p in _collect(spec, pair) if p is not None]
    if not rows:
        raise DataError(
            f"preferences from {spec.path or spec.dataset}",
            "no pair is left: " + ", ".join(f"{n} rows had {why}" for why, n in dropped.items()),
            "give rows with two different answers to the same conversation",
        )
    return Preferences(rows, dict(dropped))


def load_texts(spec: DataSpec) -> list[str]:
    """Read one text per row: its `text`, or the chosen transcript of HH-RLHF."""
    return _collect(spec, text_of)


def check_queries(spec: DataSpec, wanted: Callable[[Query], bool]) -> int:
    """Count the different queries that are wanted; look at every row and keep none.

    Raises:
        DataError: rows that cannot be used; the first few are reported together.
    """
    seen = SeenIds()

    def look(row: Mapping[str, Any], place: str) -> None:
        query = query_or_chosen(row)
        if wanted(query):
            seen.add(query.id)

    each_row(spec, look)
    return len(seen)


def read_queries(spec: DataSpec) -> Iterator[Query]:
    """Yield the queries of a data set, one by one; equal ones are not told apart.

    Raises:
        DataError: at the first row that cannot be used.
    """
    for place, row in rows_from(spec):
        try:
            yield _placed(query_or_chosen(row), place)
        except DataError as error:
            raise DataError(f"{place}: {error.given}", error.why, error.fix) from error


def save_queries(path: Path | str, queries: Sequence[Query]) -> None:
    """Write queries as JSONL with `prompt` (TRL's formats) and their meta, for `load_queries`."""
    lines = [json_text(_query_row(query)) + "\n" for query in queries]
    atomic_write_text(Path(path), "".join(lines))


def _query_row(query: Query) -> dict[str, Any]:
    messages = [m.to_json() for m in query.messages]
    beside = {**query.meta, **query.template_columns}
    if query.conversational:
        return {**beside, "prompt": messages}
    if len(messages) == 1:
        return {**beside, "prompt": query.text}
    return {**beside, "prompt": messages, "conversational": False}


def _own_queries(data: Any) -> list[Query]:
    rows = rows_of(data, "queries", sys.maxsize)
    check_rows(rows, "queries")
    records = [record_of(row) for row in rows]
    return [r.query if isinstance(r, Group) else r for r in records]


def _collect(spec: DataSpec, convert: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """Convert every row; report the first few that fail together."""
    found: list[T] = []
    each_row(spec, lambda row, place: found.append(_placed(convert(row), place)))
    return found


def _placed(value: T, place: str) -> T:
    """Give a query its place in the data; anything else stays as it is."""
    return replace(value, place=place) if isinstance(value, Query) else value
