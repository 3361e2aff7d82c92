"""Queries, preferences, texts and groups, from files and from hub data sets."""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from neat_align.data.cells import understood
from neat_align.data.files import read_rows
from neat_align.data.formats import NoPreference, Preference, preference_of, query_or_chosen
from neat_align.data.groups.finished import check_finished
from neat_align.data.groups.seen import SeenIds
from neat_align.data.groups.shards import group_files
from neat_align.data.groups.wide import check_wide, group_of_wide, json_text, wide_bytes
from neat_align.data.json_rows import Row
from neat_align.data.rows import check_rows, record_of, rows_of
from neat_align.errors import (
    DataError,
    InputError,
    OutputError,
    SeveralErrors,
    first_line,
    nearest,
    not_a_group,
    raise_all,
)
from neat_align.storage.atomic import atomic_write_bytes, atomic_write_text
from neat_align.storage.paths import is_file
from neat_align.types import Group, Query

T = TypeVar("T")
SHOWN_ERRORS = 5
GROUP_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


@dataclass(frozen=True)
class DataSpec:
    """Where rows come from.

    Attributes:
        path: a local file …
        dataset: … or a hub id; exactly one of the two.
        config, split: of the hub data set.
        columns: our names (prompt, chosen, rejected, text) to the data's.
        limit: rows to read at most.
    """

    path: str | Path | None = None
    dataset: str | None = None
    config: str | None = None
    split: str = "train"
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.dataset is None):
            raise DataError(
                f"path={self.path!r} and dataset={self.dataset!r}",
                "rows come from one place",
                "give exactly one of path and dataset",
            )
        if self.limit is not None and self.limit < 1:
            raise DataError(f"limit={self.limit}", "it leaves no row", "give 1 or more, or none")


@dataclass(frozen=True)
class Preferences:
    """Preference pairs, and how many rows were dropped for which reason."""

    rows: list[Preference]
    dropped: dict[str, int]


def load_queries(source: DataSpec | str | Path | Any) -> list[Query]:
    """The queries of a data set, each once (the first of equal ones).

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


def _own_queries(data: Any) -> list[Query]:
    rows = rows_of(data, "queries", sys.maxsize)
    check_rows(rows, "queries")
    records = [record_of(row) for row in rows]
    return [r.query if isinstance(r, Group) else r for r in records]


def load_preferences(spec: DataSpec) -> Preferences:
    """The preference pairs of a data set.

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
    """One text a row: its `text`, or the chosen transcript of HH-RLHF."""

    def text(row: Mapping[str, Any]) -> str:
        value = row.get("text") or row.get("chosen")
        if not isinstance(value, str) or not value.strip():
            raise DataError(
                f"a row with the columns {', '.join(map(repr, row))}",
                "it has no text",
                "map the column with columns={'text': …}",
            )
        return value

    return _collect(spec, text)


def save_groups(
    path: Path | str, groups: Sequence[Group], notes: Mapping[str, Any] | None = None
) -> None:
    """Groups as JSONL (also .gz) or Parquet, by the suffix; whole or not at all.

    Args:
        notes: kept in a Parquet file's metadata; the other formats have no place for them.

    Raises:
        OutputError: the suffix is none of these, or the file cannot be written.
    """
    path = Path(path)
    check_groups_path(path)
    if path.suffix == ".parquet":
        atomic_write_bytes(path, wide_bytes(groups, notes))
        return
    lines = [_json_line(group.to_json()) for group in groups]
    if path.suffix == ".gz":
        atomic_write_bytes(path, gzip.compress("".join(lines).encode(), mtime=0))
    else:
        atomic_write_text(path, "".join(lines))


def check_groups_path(path: Path | str) -> None:
    """Raise what `save_groups` would say of the suffix; for before the work is done."""
    name = Path(path).name
    if not name.endswith(GROUP_SUFFIXES):
        raise OutputError(
            f"output {path}",
            "its suffix does not tell a format for groups",
            f"end it with {', '.join(GROUP_SUFFIXES)}",
        )


def load_groups(path: Path | str) -> list[Group]:
    """All groups at `path`; see `read_groups`."""
    return list(read_groups(path))


def read_groups(path: Path | str, unfinished: bool = False) -> Iterator[Group]:
    """The groups of a file that `save_groups` wrote, or of a directory of parts, one by one.

    Args:
        unfinished: take a directory as it is, too, of which shards are still being written.

    Raises:
        DataError: it is missing, holds something else, or is not the whole data set.
    """
    files = group_files(Path(path))
    if not unfinished and files != [Path(path)]:
        check_finished(files[0].parent)
    for file in files:
        convert: Callable[[Mapping[str, Any]], Group] = Group.from_json
        if file.suffix == ".parquet" and is_file(file):
            rows = check_wide(file)
            convert = group_of_wide
            if not rows and file != Path(path):
                continue  # a part of which nothing was kept
        for place, row in read_rows(file):
            try:
                yield convert(row)
            except DataError as error:
                raise DataError(f"{place}: {error.given}", error.why, error.fix) from error
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise DataError(
                    place,
                    not_a_group(error),
                    "give what `neat sample` or `neat score` wrote",
                ) from error


def check_queries(spec: DataSpec, wanted: Callable[[Query], bool]) -> int:
    """How many different queries are wanted; every row is looked at, none is kept.

    Raises:
        DataError: rows that cannot be used; the first few are reported together.
    """
    seen = SeenIds()

    def look(row: Mapping[str, Any], place: str) -> None:
        query = query_or_chosen(row)
        if wanted(query):
            seen.add(query.id)

    _each(spec, look)
    return len(seen)


def read_queries(spec: DataSpec) -> Iterator[Query]:
    """The queries of a data set, one by one; equal ones are not told apart.

    Raises:
        DataError: at the first row that cannot be used.
    """
    for place, row in _rows(spec):
        try:
            yield _placed(query_or_chosen(row), place)
        except DataError as error:
            raise DataError(f"{place}: {error.given}", error.why, error.fix) from error


def save_queries(path: Path | str, queries: Sequence[Query]) -> None:
    """Queries as JSONL with `prompt` (TRL's formats) and their meta; `load_queries` reads them."""
    atomic_write_text(Path(path), "".join(_json_line(_query_row(query)) for query in queries))


def _query_row(query: Query) -> dict[str, Any]:
    messages = [m.to_json() for m in query.messages]
    beside = {**query.meta, **query.template_columns}
    if query.conversational:
        return {**beside, "prompt": messages}
    if len(messages) == 1:
        return {**beside, "prompt": query.text}
    return {**beside, "prompt": messages, "conversational": False}


def _collect(spec: DataSpec, convert: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """Every row converted; the first few that fail are reported together."""
    found: list[T] = []
    _each(spec, lambda row, place: found.append(_placed(convert(row), place)))
    return found


def _placed(value: T, place: str) -> T:
    """A query with its place in the data; anything else as it is."""
    return replace(value, place=place) if isinstance(value, Query) else value


def _each(spec: DataSpec, do: Callable[[Mapping[str, Any], str], None]) -> None:
    """Do something with every row and its place; the first few that fail are reported together."""
    errors: list[InputError] = []
    try:
        for place, row in _rows(spec):
            try:
                do(row, place)
            except DataError as error:
                errors.append(DataError(f"{place}: {error.given}", error.why, error.fix))
                if len(errors) == SHOWN_ERRORS:
                    break
    except InputError as error:  # the file cannot be read on; what was wrong before counts too
        errors += error.errors if isinstance(error, SeveralErrors) else [error]
    raise_all(errors)


def _rows(spec: DataSpec) -> Iterator[Row]:
    """Rows under our column names, `limit` at most."""
    source = read_rows(Path(spec.path)) if spec.path is not None else _hub_rows(spec)
    for number, (place, row) in enumerate(islice(source, spec.limit)):
        _check_columns(row, spec, place if number else str(spec.path or spec.dataset))
        yield place, understood(_renamed(row, spec), place)


def _check_columns(row: Mapping[str, Any], spec: DataSpec, place: str) -> None:
    raise_all(
        [
            DataError(
                f"{place}: columns {ours} = {theirs!r}", "no such column", nearest(theirs, row)
            )
            for ours, theirs in spec.columns.items()
            if theirs not in row
        ]
    )


def _renamed(row: dict[str, Any], spec: DataSpec) -> dict[str, Any]:
    """What is mapped to one of our names wins over a column that happens to have it."""
    moved = {*spec.columns, *spec.columns.values()}
    rest = {name: value for name, value in row.items() if name not in moved}
    return {**{ours: row[theirs] for ours, theirs in spec.columns.items()}, **rest}


def _hub_rows(spec: DataSpec) -> Iterator[Row]:
    import datasets

    assert spec.dataset is not None
    try:
        rows = datasets.load_dataset(spec.dataset, spec.config, split=spec.split)
    except Exception as error:  # the hub client raises many unrelated types
        raise DataError(
            f"data set {spec.dataset!r} ({spec.split})",
            first_line(error),
            "check the id, the split and the network, or give a local path",
        ) from error
    if len(rows) == 0:
        raise DataError(
            f"data set {spec.dataset!r} ({spec.split})", "no rows", "name another split"
        )
    for number, row in enumerate(rows, 1):
        yield f"{spec.dataset}, row {number}", dict(row)


def _json_line(value: Any) -> str:
    return json_text(value) + "\n"
