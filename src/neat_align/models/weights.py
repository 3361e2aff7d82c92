"""Check by their headers that a directory's weights are whole: no torch, no reading of them.

A safetensors file begins with the length of its header and the header, which says where in the
file each weight ends. A download that was cut short, or a pointer that stands for the file in
git, shows there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

POINTER = b"version https://git-lfs"
INDEX = "model.safetensors.index.json"
SHOWN = 3
"""Shards or weights named in an error."""


def weight_problems(directory: Path) -> list[tuple[str, str]]:
    """Find what is wrong with the weights of a directory: (why, fix) per file."""
    index = directory / INDEX
    if index.exists() and not (directory / "model.safetensors").exists():
        return _index_problems(directory, index)
    files = sorted(directory.glob("*.safetensors"))
    return [problem for path in files for problem in file_problems(path)]


def file_problems(path: Path) -> list[tuple[str, str]]:
    """Find what is wrong with one safetensors file."""
    again = "fetch it again, whole"
    try:
        header, size = _header(path)
    except ValueError as error:
        pointer = "pointer" in str(error)
        return [(f"{path.name} {error}", "run `git lfs pull`" if pointer else again)]
    except OSError as error:
        return [(f"{path.name} cannot be read: {error.strerror}", "look at its permissions")]
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if not ends:
        return [(f"{path.name} holds no weights", again)]
    if size < max(ends):
        why = f"{path.name} is cut short: {size} bytes of weights, and its header tells of "
        return [(why + str(max(ends)), again)]
    return []


def _index_problems(directory: Path, index: Path) -> list[tuple[str, str]]:
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        shards = sorted({str(name) for name in names})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return [(f"{index.name} is no index of weights: {error!r}", "fetch it again")]
    missing = [name for name in shards if not (directory / name).is_file()]
    problems = [p for n in shards if n not in missing for p in file_problems(directory / n)]
    if missing:
        named = ", ".join(missing[:SHOWN])
        why = f"{index.name} names {named}, and {len(missing)} of {len(shards)} shards are missing"
        problems.insert(0, (why, "fetch them, too"))
    return problems


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Read the header, and count the bytes that follow it.

    Raises:
        ValueError: it is none.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(POINTER))
        if start == POINTER:
            raise ValueError("is a pointer of git LFS, and not the weights")
        if not size:
            raise ValueError("is empty")
        length = int.from_bytes(start[:8], "little")
        if size < 8 or length > size - 8:
            raise ValueError("is no safetensors file, or is cut short in its header")
        file.seek(8)
        text = file.read(length)
    try:
        header = json.loads(text)
        _ = [header[n]["data_offsets"][1] + 0 for n in header if n != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError("is no safetensors file: its header cannot be read") from error
    return header, size - 8 - length
