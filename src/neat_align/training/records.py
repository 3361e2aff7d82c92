"""The training data as the trainer reads it, a record at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neat_align.data import DataSpec, load_groups, load_queries
from neat_align.data.files import read_rows
from neat_align.data.rows import check_rows, record_of, rows_of
from neat_align.errors import DataError
from neat_align.storage.paths import is_dir, is_file
from neat_align.types import Query


class Records(Sequence[Any]):
    """Queries or groups; rows of other data sets become such as they are asked for.

    Nothing is copied: a `datasets.Dataset` stays on disk, however many rows it has.

    Args:
        data: what `data.rows` understands, a `DataSpec`, or the path of a file with queries
            or groups.
        name: how errors call it.
        needed: rows that are read of a stream.

    Raises:
        DataError, SeveralErrors: rows that are neither queries nor groups, told before
            training begins.
    """

    def __init__(self, data: Any, name: str = "train_dataset", needed: int | None = None) -> None:
        self.rows: Sequence[Any]
        self.name = name
        if isinstance(data, Records):
            self.rows, self.name = data.rows, data.name
            return
        if isinstance(data, DataSpec):
            data = load_queries(data)
        elif isinstance(data, str | Path):
            data = _from_file(Path(data), name)
        self.rows = rows_of(() if data is None else data, name, needed)
        check_rows(self.rows, name)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        record = record_of(self.rows[int(index)])
        if not isinstance(record, Query) or record.place:
            return record
        return replace(record, place=f"row {int(index) + 1} of {self.name}")

    @property
    def are_queries(self) -> bool:
        """Whether they are prompts without answers."""
        return len(self) > 0 and isinstance(self[0], Query)


def evaluation_sets(data: Any) -> Records | dict[str, Records] | None:
    """Read held-out queries or groups: one set, or several by their names."""
    if data is None or isinstance(data, Records):
        return data
    if isinstance(data, Mapping):
        if not data:
            why = "it is a mapping with nothing in it"
            raise DataError("eval_dataset: {}", why, "leave it out, or give {name: queries}")
        return {str(name): _filled(part, f"eval_dataset[{name!r}]") for name, part in data.items()}
    return _filled(data, "eval_dataset")


def sets_of(held_out: Records | Mapping[str, Records] | None) -> dict[str, Records]:
    """Return the held-out sets by their names, "" for one without."""
    if held_out is None:
        return {}
    return {"": held_out} if isinstance(held_out, Records) else dict(held_out)


def _filled(data: Any, name: str) -> Records:
    records = Records(data, name)
    if not len(records):
        raise DataError(f"{name} without rows", "there is nothing to measure", "give some queries")
    return records


def _from_file(path: Path, name: str) -> Any:
    """Read the groups of a file or of a directory of parts, or the queries of a file."""
    if is_dir(path) or (is_file(path) and _holds_groups(path)):
        return load_groups(path)
    if is_file(path):
        return load_queries(DataSpec(path))
    raise DataError(
        f"{name}={str(path)!r}",
        "there is no such file",
        "give a file of queries or groups; of the hub's, datasets.load_dataset(…)",
    )


def _holds_groups(path: Path) -> bool:
    _, row = next(iter(read_rows(path)))
    return isinstance(row, Mapping) and ("responses" in row or "candidates" in row)
