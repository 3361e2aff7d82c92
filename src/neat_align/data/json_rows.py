"""Rows in a JSON or YAML value, in the shapes that exports have.

A list of objects, or of texts (queries); an object of columns; an object that holds one such
list ("data", "rows" …); or one row alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neat_align.data.turns import SPEAKERS
from neat_align.errors import DataError

Row = tuple[str, dict[str, Any]]


def value_rows(content: Any, path: Path) -> Iterator[Row]:
    """Yield (place, row) of a whole file's value.

    Raises:
        DataError: it has none of the shapes, or a row is neither an object nor a text.
    """
    if isinstance(content, Mapping):
        content = _of_object(content, path)
    if not isinstance(content, list):
        raise DataError(
            f"data file {path}", "its top level is not a list of rows", "write [{…}, {…}] or JSONL"
        )
    for number, row in enumerate(content, 1):
        place = f"{path}, row {number}"
        if isinstance(row, Mapping) and isinstance(row.get("row"), Mapping) and "row_idx" in row:
            row = row["row"]  # the form of the hub's viewer
        yield place, as_row(row, place)


def as_row(value: Any, place: str) -> dict[str, Any]:
    """Read a row; a text alone is a query.

    Raises:
        DataError: it is neither.
    """
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, Mapping):
        raise DataError(
            place, f"a row is an object, not {type(value).__name__}", 'write {"prompt": "…"}'
        )
    return {str(key): content for key, content in value.items()}


def _of_object(content: Mapping[str, Any], path: Path) -> Any:
    lists = {n: v for n, v in content.items() if isinstance(v, list) and not _is_conversation(v)}
    rows = {n: v for n, v in lists.items() if v and all(isinstance(r, Mapping) for r in v)}
    if len(rows) == 1:
        return next(iter(rows.values()))
    if len(rows) > 1:
        raise DataError(
            f"data file {path}",
            f"it holds several lists of rows: {', '.join(map(repr, rows))}",
            "write each to a file of its own",
        )
    if lists and len(lists) == len(content):
        return _of_columns(content, path)
    if content and all(isinstance(v, Mapping) for v in content.values()):
        return _of_indexed_columns(content, path)
    return [content]


def _of_indexed_columns(columns: Mapping[str, Mapping[str, Any]], path: Path) -> Any:
    """{"prompt": {"0": …, "1": …}}, as pandas writes a table."""
    indices = list(dict.fromkeys(index for column in columns.values() for index in column))
    lists = {n: [column[i] for i in indices if i in column] for n, column in columns.items()}
    return _of_columns(lists, path)


def _of_columns(columns: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"data file {path}",
            "its columns are of different lengths: "
            + ", ".join(f"{name} {length}" for name, length in lengths.items()),
            "give every column one value per row",
        )
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def _is_conversation(value: list[Any]) -> bool:
    return bool(value) and all(
        isinstance(turn, Mapping) and (str(turn.get("role", turn.get("from"))) in SPEAKERS)
        for turn in value
    )
