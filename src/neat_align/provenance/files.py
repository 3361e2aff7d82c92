"""Identify a file's content, by its bytes or by the rows that it holds.

A process reads a file once, and again only after its size, times or inode have changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from neat_align.data.files import data_files, read_rows
from neat_align.errors import InputError
from neat_align.storage.artefacts import digest
from neat_align.storage.paths import is_dir

Stamp = tuple[int, int, int, int]


def file_content(path: Path) -> str:
    """Return `sha256:…` of a file's bytes; "missing" if there is no file."""
    return _read(path, _of_bytes)


def json_content(path: Path) -> str:
    """Return `json:…` of a JSON file's value, whatever its layout; for other files the bytes'."""
    return _read(path, _of_json if path.suffix == ".json" else _of_bytes)


def rows_content(path: Path) -> str:
    """Return `rows:…` of a data file's rows, whatever its format, spacing and compression.

    A file that cannot be read as rows is identified by its bytes, a directory by the rows of its
    files and their names (`files:…`).
    """
    if is_dir(path):
        own = {file.name: rows_content(file) for file in data_files(path)}
        return f"files:{hashlib.sha256(json.dumps(own).encode()).hexdigest()}"
    return _read(path, _of_rows)


def _read(path: Path, how: Callable[[Path, Stamp], str]) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "missing"
    return how(path.absolute(), (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))


@cache
def _of_bytes(path: Path, stamp: Stamp) -> str:
    return f"sha256:{digest(path)}"


@cache
def _of_json(path: Path, stamp: Stamp) -> str:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return file_content(path)
    return f"json:{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}"


@cache
def _of_rows(path: Path, stamp: Stamp) -> str:
    found = hashlib.sha256()
    try:
        for line in _lines(path):
            found.update(line)
    except InputError:
        return file_content(path)
    return f"rows:{found.hexdigest()}"


def _lines(path: Path) -> Iterator[bytes]:
    for _, row in read_rows(path):
        yield json.dumps(row, sort_keys=True, default=_plain).encode() + b"\n"


def _plain(value: Any) -> str:
    """Write values that JSON lacks (dates, bytes of Parquet) as text."""
    return repr(value)
