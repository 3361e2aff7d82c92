"""Data sets as Python users have them: lists, tables, streams, files, rows in any format.

`rows_of` gives their rows by number, `record_of` makes a query or a group of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from neat_align.data.groups.wide import group_of_wide
from neat_align.data.reading import query_or_chosen
from neat_align.errors import DataError, InputError, not_a_group, raise_all
from neat_align.types import Group, Query

SHOWN = 5  # rows named in an error
TABLES = {"pandas": "to_dict", "polars": "to_dicts", "pyarrow": "to_pylist"}
"""Library of tables → the method that gives the rows."""


def rows_of(data: Any, name: str, needed: int | None = None) -> Sequence[Any]:
    """Return the rows of a data set, by number; nothing is copied that has them so.

    Args:
        name: how errors call the data set.
        needed: of a stream, which may have no end, so many rows are read.

    Raises:
        DataError: it is no data set, several in one, or a stream of unknown length.
    """
    if isinstance(data, Mapping):
        return rows_of(_only_split(data, name), name, needed)
    method = TABLES.get(type(data).__module__.partition(".")[0])
    if method is not None and hasattr(data, method):
        return _table_rows(data, method)
    if isinstance(data, set | frozenset):
        why = "a set has no order, so the same seed would not give the same run"
        raise DataError(f"{name} of type {type(data).__name__}", why, "give a list, sorted")
    if isinstance(data, str | bytes | Query | Group) or not _is_several(data):
        raise DataError(
            f"{name} of type {type(data).__name__}",
            "it is no collection of rows",
            "give a list of queries, texts or rows, a datasets.Dataset, a DataFrame, or a file",
        )
    return _streamed(data, name, needed) if _is_stream(data) else data


def record_of(row: Any) -> Query | Group:
    """Make a query of a row or, where it holds responses, a group.

    Raises:
        DataError: it is neither.
    """
    if isinstance(row, Query | Group):
        return row
    if isinstance(row, str):
        return query_or_chosen({"prompt": row})
    if isinstance(row, Mapping):
        return _of_columns(row)
    if isinstance(row, list | tuple) and row and all(isinstance(t, Mapping) for t in row):
        return query_or_chosen({"prompt": list(row)})  # a conversation
    raise DataError(
        f"a row of type {type(row).__name__}",
        "it is no query, text, conversation or mapping of columns",
        'give a text, or a row like {"prompt": "How do I boil an egg?"}',
    )


def check_rows(rows: Sequence[Any], name: str) -> None:
    """Make sure that every row is a query, or every one a group.

    Raises:
        DataError, SeveralErrors: the first rows that are not, by their number.
    """
    errors: list[InputError] = []
    kind: type | None = None
    for number, row in enumerate(rows, 1):
        try:
            record = record_of(row)
            kind = kind or type(record)
            if type(record) is not kind:
                raise DataError(
                    f"a {type(record).__name__.lower()} among other rows",
                    f"the first one is a {kind.__name__.lower()}: they are trained on differently",
                    "give queries alone, or groups alone",
                )
        except DataError as error:
            errors.append(DataError(f"{name}, row {number}: {error.given}", error.why, error.fix))
            mixed = kind is not None and isinstance(row, Query | Group) and type(row) is not kind
            if len(errors) == SHOWN or mixed:
                break
    raise_all(errors)


def _of_columns(row: Mapping[str, Any]) -> Query | Group:
    try:
        if "responses" in row and isinstance(row.get("query"), Mapping):
            return Group.from_json(row)
        if "candidates" in row and "prompt_id" in row:
            return group_of_wide(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "give what `neat score` wrote, or Group records"
        raise DataError("a row with responses", not_a_group(error), fix) from error
    return query_or_chosen(row)


def _only_split(data: Mapping[str, Any], name: str) -> Any:
    """Return the one data set of a `DatasetDict`, where it has one."""
    if len(data) == 1 and _is_several(only := next(iter(data.values()))):
        return only
    names = ", ".join(map(repr, data))
    if data and all(hasattr(split, "column_names") for split in data.values()):
        why = f"it holds several data sets: {names}"
        fix = f"give one of them, e.g. dataset[{next(iter(data))!r}]"
        raise DataError(f"{name} of type {type(data).__name__}", why, fix)
    why = f"it is a mapping with {names or 'nothing'}, not rows"
    raise DataError(f"{name} of type {type(data).__name__}", why, 'give rows: [{"prompt": "…"}]')


def _table_rows(table: Any, method: str) -> list[dict[str, Any]]:
    """Return the rows of a table as mappings; what pandas has as NaN is absent."""
    if method != "to_dict":
        return getattr(table, method)()
    if not hasattr(table, "columns"):  # a column by itself
        return list(table)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): cell for name, cell in row.items()} for row in rows]


def _is_several(data: Any) -> bool:
    return hasattr(data, "__iter__") or (hasattr(data, "__len__") and hasattr(data, "__getitem__"))


def _is_stream(data: Any) -> bool:
    named = any(kind.__name__ == "IterableDataset" for kind in type(data).__mro__)
    return named or not (hasattr(data, "__len__") and hasattr(data, "__getitem__"))


def _streamed(data: Iterable[Any], name: str, needed: int | None) -> list[Any]:
    if needed is None and hasattr(data, "__len__"):
        return list(data)
    if needed is None:
        raise DataError(
            f"{name}: a stream ({type(data).__name__})",
            "it does not tell how many rows it has, and may have no end",
            "set max_steps, so that as many are read as the steps need; or give list(…)",
        )
    return list(islice(data, needed))
