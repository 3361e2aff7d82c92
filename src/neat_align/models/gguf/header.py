"""Read the header of a GGUF file: what the model is, how its weights are stored, where they end.

No weight is read, and of the tokenizer's lists only the lengths: the package `gguf` reads all of
it, which takes seconds. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md has the format.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from neat_align.models.weights import POINTER

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
FORMATS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
"""Type of a value of a fixed size → how `struct` calls it."""
MOST = 1 << 24
"""Entries of a list; more stand in no header that is one."""


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself.

    Attributes:
        architecture: as GGUF calls it, e.g. "llama".
        parts: files that the model lies in.
        types: numbers of the types that its weights are stored in.
        size: bytes that the file must have for its weights to be whole.
    """

    architecture: str
    parts: int
    types: frozenset[int]
    size: int


def read_header(path: Path) -> Header:
    """Read a file's header.

    Raises:
        ValueError: it is none, or is cut short; the text goes on after the file's name.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(POINTER))
        _check_start(start)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _header(_Reader(content))
            except (struct.error, IndexError) as error:
                raise ValueError("is cut short in its header") from error
            except (UnicodeDecodeError, OverflowError, MemoryError) as error:
                raise ValueError("has a header that cannot be read") from error


def _check_start(start: bytes) -> None:
    if start == POINTER:
        raise ValueError("is a pointer of git LFS, and not the weights")
    if start[:4] != MAGIC:
        raise ValueError("is empty" if not start else "is no GGUF file")


class _Reader:
    """Reads one value after the other."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at = content, len(MAGIC)

    def numbers(self, format: str, count: int = 1) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{count}{format}", self.content, self.at)
        self.at += struct.calcsize(f"<{count}{format}")
        return found

    def number(self, format: str) -> Any:
        return self.numbers(format)[0]

    def count(self) -> int:
        found = int(self.number("Q"))
        if found > MOST:
            raise ValueError(f"has a header that cannot be read: {found} entries in it")
        return found

    def text(self) -> str:
        length = self.count()
        if self.at + length > len(self.content):
            raise IndexError("text beyond the end")
        self.at += length
        return self.content[self.at - length : self.at].decode("utf-8")

    def value(self, kind: int) -> Any:
        """Read a value; of a list its length."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.number(_format(kind))
        inner, count = int(self.number("I")), self.count()
        if inner == STRING:
            for _ in range(count):
                self.at += 8 + self.numbers("Q")[0]
        else:
            self.at += count * struct.calcsize(f"<{_format(inner)}")
        return count


def _format(kind: int) -> str:
    if kind not in FORMATS:
        raise ValueError(f"has a header that cannot be read: a value of type {kind}")
    return FORMATS[kind]


def _header(reader: _Reader) -> Header:
    version = reader.number("I")
    if version not in VERSIONS:
        raise ValueError(f"is GGUF of version {version}, and read are 2 and 3")
    tensors, entries = reader.count(), reader.count()
    known = {}
    for _ in range(entries):
        name = reader.text()
        known[name] = reader.value(reader.number("I"))
    stored = [_tensor(reader) for _ in range(tensors)]
    if not stored:
        raise ValueError("holds no weights")
    step = int(known.get("general.alignment", 32)) or 32
    begin = -(-reader.at // step) * step
    return Header(
        architecture=str(known.get("general.architecture", "")),
        parts=int(known.get("split.count", 1)),
        types=frozenset(kind for kind, _ in stored),
        size=begin + max(end for _, end in stored),
    )


def _tensor(reader: _Reader) -> tuple[int, int]:
    """Read the type of a weight, and where it ends; 0 for types whose size nobody knows."""
    reader.text()
    shape = reader.numbers("Q", min(reader.number("I"), 8))
    kind, offset = reader.number("I"), reader.number("Q")
    return kind, next(_ends(kind, prod(shape), offset), 0)


def _ends(kind: int, values: int, offset: int) -> Iterator[int]:
    from gguf import GGML_QUANT_SIZES

    for known, (block, size) in GGML_QUANT_SIZES.items():
        if known == kind:
            yield offset + values // block * size
