"""Rows of local files: JSONL, JSON, CSV, Parquet, each also gzipped but Parquet.

A row comes with where it stands, so that an error can name the line.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from neat_align.errors import DataError
from neat_align.paths import is_dir, is_file

Row = tuple[str, dict[str, Any]]
LONGEST_FIELD = 1 << 30  # characters; Python's own limit is shorter than some documents
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def read_rows(path: Path) -> Iterator[Row]:
    """Yields (place, row), place being e.g. "queries.jsonl, line 3"; one row at a time.

    Raises:
        DataError: no such file, an empty one, an unknown suffix, or content that is broken.
    """
    given = f"data file {path}"
    if not is_file(path):
        why = "it is a directory" if is_dir(path) else "there is no such file"
        raise DataError(given, why, f"name a file: {', '.join(SUFFIXES)} (also .gz)")
    if path.stat().st_size == 0:
        raise DataError(given, "it is empty", "give a file with at least one row")
    reader = _reader(path)
    found = False
    try:
        for row in reader(path):
            found = True
            yield row
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise DataError(
            given, f"it cannot be read: {error}", "restore the file (text is UTF-8)"
        ) from error
    if not found:
        raise DataError(given, "it holds no row", "give at least one row")


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if kind not in readers or path.suffixes[-2:] == [".parquet", ".gz"]:
        raise DataError(
            f"data file {path}",
            f"the suffix {''.join(path.suffixes[-2:]) or 'none'!r} does not tell its format",
            f"use one of {', '.join(SUFFIXES)} (all but Parquet also .gz)",
        )
    return readers[kind]


def _open(path: Path) -> TextIO:
    """Text with its line ends as they are (CSV wants that), without a byte order mark."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _jsonl(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                place = f"{path}, line {number}"
                yield place, _mapping(_parse(line.rstrip("\r\n"), path, number), place)


def _json(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        content = _parse(file.read(), path)
    if not isinstance(content, list):
        raise DataError(
            f"data file {path}", "its top level is not a list of rows", "write [{…}, {…}] or JSONL"
        )
    for number, row in enumerate(content, 1):
        place = f"{path}, row {number}"
        yield place, _mapping(row, place)


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    with _open(path) as file:
        reader = csv.DictReader(file)
        before = reader.line_num
        for row in reader:
            start = max(before, 1) + 1  # a quoted field may span lines; the header is line 1
            place, before = f"{path}, line {start}", reader.line_num
            if None in row or None in row.values():
                raise DataError(
                    place, "it has more or fewer fields than the header", "quote fields with commas"
                )
            yield place, dict(row)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise DataError(f"data file {path}", f"not Parquet: {error}", "write it again") from error


def _parse(text: str, path: Path, line: int = 1) -> Any:
    """The value of a JSON text that begins on `line`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {line + error.lineno - 1}",
            f"broken JSON at column {error.colno}: {error.msg}",
            "correct the line",
        ) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; deep nesting
        raise DataError(
            f"{path}, line {line}", f"JSON that cannot be read: {error}", "correct the line"
        ) from error


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            place, f"a row is an object, not {type(value).__name__}", 'write {"prompt": "…"}'
        )
    return value
