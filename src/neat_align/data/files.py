"""Rows of local files: JSONL, JSON, CSV, TSV, YAML, plain text, Parquet; most also compressed.

A row comes with where it stands, so that an error can name the line.
"""

from __future__ import annotations

import csv
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from neat_align.data.json_rows import Row, as_row, value_rows
from neat_align.data.opening import (
    DECOMPRESSORS,
    open_text,
    refuse_other_content,
    undecodable,
)
from neat_align.errors import DataError
from neat_align.storage.paths import is_dir, is_file
from neat_align.storage.yaml_text import parse_yaml

LONGEST_FIELD = 1 << 30  # characters; Python's own limit is shorter than some documents
SEPARATORS = ",;\t|"
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield (place, row), place being e.g. "queries.jsonl, line 3"; one row at a time.

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
    except UnicodeDecodeError as error:
        raise undecodable(path, error) from error
    except UNREADABLE as error:
        raise DataError(
            given, f"it cannot be read: {error}", "restore the file (text is UTF-8)"
        ) from error
    if not found:
        raise DataError(given, "it holds no row", "give at least one row")


def data_files(directory: Path) -> list[Path]:
    """List the files of a directory that hold rows, by their names."""
    return sorted(file for file in directory.iterdir() if file.suffix.lower() in SUFFIXES)


def _reader(path: Path) -> Callable[[Path], Iterator[Row]]:
    compressed = path.suffix.lower() in DECOMPRESSORS
    kind = (path.with_suffix("").suffix if compressed else path.suffix).lower()
    if kind not in READERS or (compressed and kind == ".parquet"):
        spreadsheet = kind.startswith((".xls", ".ods"))
        raise DataError(
            f"data file {path}",
            f"the suffix {''.join(path.suffixes[-2:]) or 'none'!r} does not tell its format",
            'save it as "CSV UTF-8"'
            if spreadsheet
            else f"use one of {', '.join(SUFFIXES)} (all but Parquet also with "
            f"{', '.join(DECOMPRESSORS)})",
        )
    refuse_other_content(path, kind)
    return READERS[kind]


def _jsonl(path: Path) -> Iterator[Row]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                place = f"{path}, line {number}"
                value = _parse(line.rstrip("\r\n"), path, number)
                if number == 1 and isinstance(value, list) and _is_of_objects(value):
                    why = "its first line is a whole list of rows, which is JSON and not JSONL"
                    raise DataError(place, why, f"rename it to {path.stem}.json")
                yield place, as_row(value, place)


def _json(path: Path) -> Iterator[Row]:
    """Read a JSON value; an object per line is JSONL, which many call .json."""
    with open_text(path) as file:
        first = file.readline()
        if _is_whole_object(first) and file.read(1):
            yield from _jsonl(path)
            return
    with open_text(path) as file:
        content = _parse(file.read(), path)
    yield from value_rows(content, path)


def _yaml(path: Path) -> Iterator[Row]:
    with open_text(path) as file:
        text = file.read()
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise DataError(f"data file {path}", str(error), "write a list: - prompt: …") from error
    yield from value_rows(content, path)


def _text(path: Path) -> Iterator[Row]:
    """Read a query per line."""
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}, line {number}", {"prompt": line.strip()}


def _csv(path: Path) -> Iterator[Row]:
    with open_text(path) as file:
        first = file.readline()
        told = first.strip().lower()  # some spreadsheets begin with "sep=;"
        named = told.startswith("sep=") and len(told) == 5
        separator = told[-1] if named else _separator(path, first)
        lines = file if named else chain([first], file)
        yield from _csv_rows(path, lines, separator, 1 + named)


def _csv_rows(path: Path, lines: Any, separator: str, header_line: int) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    # Strict: a quote that is never closed would take in all that follows.
    reader = csv.reader(lines, delimiter=separator, strict=True)
    skipped, before = header_line - 1, 0
    try:
        names = _column_names(next(reader, []), path)
        before = reader.line_num
        for fields in reader:
            # A quoted field may span lines.
            place, before = f"{path}, line {before + skipped + 1}", reader.line_num
            if not fields:
                continue
            if len(fields) != len(names):
                raise DataError(
                    place,
                    f"it has more or fewer fields than the header: {len(fields)}, not {len(names)}",
                    f"quote fields with {separator!r} or line ends in them",
                )
            yield place, dict(zip(names, fields))
    except csv.Error as error:
        place = f"{path}, line {before + skipped + 1}"
        fix = "close the quotes, and double those within a field"
        raise DataError(place, f"it cannot be read as CSV: {error}", fix) from error


def _separator(path: Path, header: str) -> str:
    """Find what separates the header's fields: a comma, or what a spreadsheet took instead."""
    if ".tsv" in path.suffixes:
        return "\t"
    quoted = "".join(header.split('"')[::2])  # without what stands in quotes
    return next((s for s in SEPARATORS if s in quoted), ",")


def _column_names(names: list[str], path: Path) -> list[str]:
    """Read the header's names; a column without one, as an exported index, gets its number."""
    named = [name.strip() or f"column_{i}" for i, name in enumerate(names, 1)]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}, line 1",
            f"two columns are called {twice[0]!r}, and one would hide the other",
            "rename one of them",
        )
    return named


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


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".txt": _text,
    ".parquet": _parquet,
}
SUFFIXES = tuple(READERS)


def _parse(text: str, path: Path, line: int = 1) -> Any:
    """Parse a JSON text that begins on `line`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        printed = text.lstrip(" [").startswith("{'")
        raise DataError(
            f"{path}, line {line + error.lineno - 1}",
            f"broken JSON at column {error.colno}: {error.msg}",
            "JSON has double quotes: write it with json.dumps" if printed else "correct the line",
        ) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; deep nesting
        raise DataError(
            f"{path}, line {line}", f"JSON that cannot be read: {error}", "correct the line"
        ) from error


def _is_whole_object(line: str) -> bool:
    """Tell whether a line is a JSON object by itself."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_of_objects(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(row, dict) for row in value)
