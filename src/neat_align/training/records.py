"""The training data as the trainer reads it, a record at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neat_align.data.formats import query_of


class Records(Sequence[Any]):
    """Queries or groups; rows of other data sets become queries as they are asked for.

    Nothing is copied: a `datasets.Dataset` stays on disk, however many rows it has.

    Raises:
        DataError: a row without a query, told before training begins.
    """

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        for row in rows:
            if isinstance(row, Mapping):
                query_of(row)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        row = self.rows[int(index)]
        return query_of(row) if isinstance(row, Mapping) else row
