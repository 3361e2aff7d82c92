"""Rows of a benchmark's files, checked for the texts that the benchmark needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.data.files import data_files, read_rows
from neat_align.data.json_rows import Row
from neat_align.errors import DataError
from neat_align.evaluation.refusals import AS_PUBLISHED
from neat_align.storage.paths import is_dir


def rows_with(path: Path, *texts: str) -> Iterator[Row]:
    """Yield (place, row) of a file, or of all files of a directory in the order of their names.

    Args:
        texts: columns that hold a text.

    Raises:
        DataError: there is no such file, nothing in the directory, or a text is missing.
    """
    for file in _files(path) if is_dir(path) else [path]:
        for place, row in read_rows(file):
            missing = [name for name in texts if not _is_text(row.get(name))]
            if missing:
                raise DataError(place, f"it has no text under {', '.join(missing)}", AS_PUBLISHED)
            yield place, row


def _files(path: Path) -> list[Path]:
    found = data_files(path)
    if not found:
        raise DataError(f"directory {path}", "it holds no data file", AS_PUBLISHED)
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
