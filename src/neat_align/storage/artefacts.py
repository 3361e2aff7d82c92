"""What was written, so that it can be told later whether it is still that.

A file is known by its size and its SHA-256. A size is compared at once; a digest finds what
a size cannot: a flipped byte, or a file whose content never reached the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

CHUNK = 1 << 20  # bytes read at a time

Record = Mapping[str, Any]
"""`bytes` and `sha256` of a file."""


def record(root: Path, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Size and digest of files, and of all files of directories, by their path below `root`."""
    return {
        str(file.relative_to(root)): {"bytes": file.stat().st_size, "sha256": digest(file)}
        for path in paths
        for file in files(path)
    }


def damage(root: Path, records: Mapping[str, Record]) -> dict[str, str]:
    """Find what is wrong with recorded files, by path; nothing where all is as written."""
    found = {name: _wrong(root / name, wanted) for name, wanted in records.items()}
    return {name: why for name, why in found.items() if why}


def files(path: Path) -> list[Path]:
    """List the file, or all files below the directory, in order; none if nothing is there."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []


def _wrong(path: Path, wanted: Record) -> str:
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size != wanted["bytes"]:
        return f"{size} bytes, {wanted['bytes']} were written"
    return "" if digest(path) == wanted["sha256"] else "its content has changed"


def digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
