"""Rows of local files: JSONL, JSON, CSV, Parquet, each also gzipped but Parquet.

A row comes with where it stands, so that an error can name the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neat_align.errors import DataError

Row = tuple[str, dict[str, Any]]
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def read_rows(path: Path) -> Iterator[Row]:
    """Yields (place, row), place being e.g. "queries.jsonl, line 3".

    Raises:
        DataError: no such file, an empty one, an unknown suffix, or content that is broken.
    """
    if not path.is_file():
        raise DataError(f"data file {path}", "there is no such file", "check the path")
    if path.stat().st_size == 0:
        raise DataError(f"data file {path}", "it is empty", "give a file with at least one row")
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if kind not in readers:
        raise DataError(
            f"data file {path}",
            f"the suffix {kind or path.suffix or 'none'!r} does not tell its format",
            f"use one of {', '.join(SUFFIXES)} (also .gz)",
        )
    found = False
    try:
        for row in readers[kind](path):
            found = True
            yield row
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise DataError(f"data file {path}", f"it cannot be read: {error}", "restore the file") from error
    if not found:
        raise DataError(f"data file {path}", "it holds no row", "give at least one row")


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")  # type: ignore[return-value]
    return path.open(encoding="utf-8-sig", newline="")


def _jsonl(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            place = f"{path}, line {number}"
            if line.strip():
                yield place, _mapping(_parse(line, place), place)


def _json(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        content = _parse(file.read(), str(path))
    if not isinstance(content, list):
        raise DataError(
            f"data file {path}", "its top level is not a list of rows", "write [{…}, {…}] or JSONL"
        )
    for number, row in enumerate(content, 1):
        place = f"{path}, row {number}"
        yield place, _mapping(row, place)


def _csv(path: Path) -> Iterator[Row]:
    with _open(path) as file:
        reader = csv.DictReader(file)
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(
                    place, "it has more or fewer fields than the header", "quote fields with commas"
                )
            yield place, dict(row)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        batches = parquet.ParquetFile(path).iter_batches(batch_size=1024)
    except pa.ArrowException as error:
        raise DataError(f"data file {path}", f"not Parquet: {error}", "write it again") from error
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield f"{path}, row {number}", row


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(place, f"broken JSON: {error}", "correct the line") from error


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(
            place, f"a row is an object, not {type(value).__name__}", 'write {"prompt": "…"}'
        )
    return value
