"""Where rows come from, a local file or a hub data set, and the rows under our column names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from neat_align.data.cells import understood
from neat_align.data.files import read_rows
from neat_align.data.json_rows import Row
from neat_align.errors import (
    DataError,
    InputError,
    SeveralErrors,
    first_line,
    nearest,
    raise_all,
)

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
        if self.limit is not None and self.limit < 1:
            raise DataError(f"limit={self.limit}", "it leaves no row", "give 1 or more, or none")


def each_row(spec: DataSpec, do: Callable[[Mapping[str, Any], str], None]) -> None:
    """Do something with every row and its place; report the first few that fail together."""
    errors: list[InputError] = []
    try:
        for place, row in rows_from(spec):
            try:
                do(row, place)
            except DataError as error:
                errors.append(DataError(f"{place}: {error.given}", error.why, error.fix))
                if len(errors) == SHOWN_ERRORS:
                    break
    except InputError as error:  # the file cannot be read on; what was wrong before counts too
        errors += error.errors if isinstance(error, SeveralErrors) else [error]
    raise_all(errors)


def rows_from(spec: DataSpec) -> Iterator[Row]:
    """Yield rows under our column names, `limit` at most, each with its place."""
    if spec.path is not None:
        source = read_rows(Path(spec.path))
    else:
        source = hub_rows(str(spec.dataset), spec.config, spec.split)
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
    """Rename columns: what is mapped to one of our names wins over a column that has it."""
    moved = {*spec.columns, *spec.columns.values()}
    rest = {name: value for name, value in row.items() if name not in moved}
    return {**{ours: row[theirs] for ours, theirs in spec.columns.items()}, **rest}


def hub_rows(dataset: str, config: str | None, split: str) -> Iterator[Row]:
    """Yield (place, row) of a data set on the hub.

    Raises:
        DataError: the hub does not give it, or it has no rows.
    """
    import datasets

    given = f"data set {dataset!r} ({split})"
    try:
        rows = datasets.load_dataset(dataset, config, split=split)
    except Exception as error:  # the hub client raises many unrelated types
        raise _not_given(given, error) from error
    if len(rows) == 0:
        raise DataError(given, "no rows", "name another split")
    for number, row in enumerate(rows, 1):
        yield f"{dataset}, row {number}", dict(row)


def hub_configs(dataset: str) -> list[str]:
    """Return the names of a data set's configurations.

    Raises:
        DataError: the hub does not tell them.
    """
    import datasets

    try:
        return sorted(datasets.get_dataset_config_names(dataset))
    except Exception as error:  # the hub client raises many unrelated types
        raise _not_given(f"data set {dataset!r}", error) from error


def _not_given(given: str, error: Exception) -> DataError:
    fix = "check the id, the split and the network, or give a local path"
    return DataError(given, first_line(error), fix)
