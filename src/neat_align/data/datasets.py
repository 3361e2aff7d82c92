"""Queries, preferences, texts and groups, from files and from hub data sets."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from neat_align.data.files import Row, read_rows
from neat_align.data.formats import Diverging, Preference, preference_of, query_of
from neat_align.errors import DataError, InputError, nearest, raise_all
from neat_align.runs import atomic_write_text
from neat_align.types import Group, Query

T = TypeVar("T")
SHOWN_ERRORS = 5


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


@dataclass(frozen=True)
class Preferences:
    """Preference pairs, and how many rows were dropped for which reason."""

    rows: list[Preference]
    dropped: dict[str, int]


def load_queries(spec: DataSpec) -> list[Query]:
    """The queries of a data set, each once (the first of equal ones).

    HH-RLHF rows whose two transcripts diverge still hold a query: the chosen one's.

    Raises:
        DataError: a file or rows that cannot be used; several are reported at once.
    """
    queries = {query.id: query for query in reversed(_collect(spec, _query_or_chosen))}
    return list(reversed(queries.values()))


def load_preferences(spec: DataSpec) -> Preferences:
    """The preference pairs of a data set.

    Dropped, and counted: rows whose two conversations diverge, and rows whose two answers
    are equal or empty.

    Raises:
        DataError: rows without a query or without a pair of answers, or nothing left.
    """
    dropped: Counter[str] = Counter()

    def pair(row: Mapping[str, Any]) -> Preference | None:
        try:
            return preference_of(row)
        except Diverging:
            dropped["diverging conversations"] += 1
        except DataError:
            if not (row.get("chosen") and row.get("rejected")):
                raise
            dropped["equal or empty answers"] += 1
        return None

    rows = [p for p in _collect(spec, pair) if p is not None]
    if not rows:
        raise DataError(
            f"preferences from {spec.path or spec.dataset}",
            f"no pair is left: {dict(dropped)}",
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
                "name the column with columns={'text': …}",
            )
        return value

    return _collect(spec, text)


def save_groups(path: Path | str, groups: Sequence[Group]) -> None:
    """Groups as JSONL (also .gz) or Parquet, by the suffix; whole or not at all."""
    path = Path(path)
    lines = [json.dumps(g.to_json(), ensure_ascii=False) for g in groups]
    if path.suffix == ".parquet":
        _write_parquet(path, lines)
    elif path.suffix == ".gz":
        _write_bytes(path, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    else:
        atomic_write_text(path, "".join(f"{line}\n" for line in lines))


def load_groups(path: Path | str) -> list[Group]:
    """The groups of a file that `save_groups` wrote.

    Raises:
        DataError: it is missing, or holds something else.
    """
    groups = []
    for place, row in read_rows(Path(path)):
        try:
            record = json.loads(row["group"]) if set(row) == {"group"} else row
            groups.append(Group.from_json(record))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                place, f"not a group: {error!r}", "give what `neat sample` or `neat score` wrote"
            ) from error
    return groups


def save_queries(path: Path | str, queries: Sequence[Query]) -> None:
    """Queries as JSONL with `messages` and their meta columns."""
    rows = [
        {"messages": [m.to_json() for m in q.messages], **{k: v for k, v in q.meta.items()}}
        if q.conversational or len(q.messages) > 1
        else {"prompt": q.messages[0].content, **dict(q.meta)}
        for q in queries
    ]
    atomic_write_text(Path(path), "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))


def _query_or_chosen(row: Mapping[str, Any]) -> Query:
    try:
        return query_of(row)
    except Diverging:
        return query_of({k: v for k, v in row.items() if k != "rejected"})


def _collect(spec: DataSpec, convert: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """Every row converted; the first few that fail are reported together."""
    found: list[T] = []
    errors: list[InputError] = []
    for place, row in _rows(spec):
        try:
            found.append(convert(_renamed(row, spec, place)))
        except DataError as error:
            errors.append(DataError(f"{place}: {error.given}", error.why, error.fix))
            if len(errors) == SHOWN_ERRORS:
                break
    raise_all(errors)
    return found


def _renamed(row: dict[str, Any], spec: DataSpec, place: str) -> dict[str, Any]:
    for ours, theirs in spec.columns.items():
        if theirs not in row:
            raise DataError(
                f"columns: {ours} = {theirs!r}", "the data has no such column", nearest(theirs, row)
            )
    mapped = {theirs: ours for ours, theirs in spec.columns.items()}
    return {mapped.get(name, name): value for name, value in row.items()}


def _rows(spec: DataSpec) -> Iterator[Row]:
    source = read_rows(Path(spec.path)) if spec.path is not None else _hub_rows(spec)
    for number, row in enumerate(source):
        if spec.limit is not None and number >= spec.limit:
            return
        yield row


def _hub_rows(spec: DataSpec) -> Iterator[Row]:
    import datasets

    assert spec.dataset is not None
    try:
        rows = datasets.load_dataset(spec.dataset, spec.config, split=spec.split)
    except Exception as error:  # the hub client raises many unrelated types
        raise DataError(
            f"data set {spec.dataset!r} ({spec.split})",
            (str(error) or type(error).__name__).splitlines()[0],
            "check the id, the split and the network, or give a local path",
        ) from error
    for number, row in enumerate(rows, 1):
        yield f"{spec.dataset}, row {number}", dict(row)


def _write_parquet(path: Path, lines: list[str]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = pa.BufferOutputStream()
    parquet.write_table(pa.table({"group": pa.array(lines, pa.string())}), buffer)
    _write_bytes(path, buffer.getvalue().to_pybytes())


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-writing")
    temporary.write_bytes(content)
    temporary.replace(path)
