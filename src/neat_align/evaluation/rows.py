"""Rows of a benchmark's files, checked for the texts that the benchmark needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile, ZipFile

from neat_align.data.files import SUFFIXES, data_files, read_rows
from neat_align.data.json_rows import Row
from neat_align.errors import DataError
from neat_align.storage.paths import is_dir, is_file
from neat_align.types import Query

AS_PUBLISHED = "give the file as it is published; `neat task show NAME` tells which"
ARCHIVE = ".zip"


def queries_with(path: Path, kind: str, *columns: str) -> list[Query]:
    """Make a query of each row's text, which stands in the first of some columns that it has.

    Raises:
        DataError: there is no such file, or a row has no text there.
    """
    return [
        Query.from_text(text_at(row, place, *columns), kind=kind) for place, row in rows_with(path)
    ]


def rows_with(path: Path, *texts: str) -> Iterator[Row]:
    """Yield (place, row) of a file, of all files of a directory by their names, or of an archive.

    Args:
        texts: columns that hold a text.

    Raises:
        DataError: there is no such file, nothing in the directory, or a text is missing.
    """
    if path.suffix == ARCHIVE and is_file(path):
        yield from _of_archive(path, *texts)
        return
    for file in _files(path) if is_dir(path) else [path]:
        for place, row in read_rows(file):
            missing = [name for name in texts if not _is_text(row.get(name))]
            if missing:
                raise _without_text(place, ", ".join(missing))
            yield place, row


def text_at(row: Mapping[str, Any], place: str, *columns: str) -> str:
    """Return the text in the first of some columns that a row has.

    Args:
        place: where the row stands, for errors.

    Raises:
        DataError: there is none.
    """
    text = next((row[column] for column in columns if column in row), None)
    if not _is_text(text):
        raise _without_text(place, " or ".join(columns))
    return str(text)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _without_text(place: str, columns: str) -> DataError:
    return DataError(place, f"it has no text under {columns}", AS_PUBLISHED)


def _of_archive(path: Path, *texts: str) -> Iterator[Row]:
    """Yield the rows of the data files in a zip archive, by their names."""
    with TemporaryDirectory() as folder:
        try:
            with ZipFile(path) as archive:
                names = [name for name in archive.namelist() if _is_data(name)]
                archive.extractall(folder, names)
        except (BadZipFile, OSError) as error:
            why = f"it cannot be read: {error}"
            raise DataError(f"archive {path}", why, AS_PUBLISHED) from error
        for name in sorted(names):
            for place, row in rows_with(Path(folder) / name, *texts):
                yield place.replace(folder, str(path)), row


def _is_data(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and "__MACOSX" not in name


def _files(path: Path) -> list[Path]:
    found = data_files(path)
    if not found:
        raise DataError(f"directory {path}", "it holds no data file", AS_PUBLISHED)
    return found
