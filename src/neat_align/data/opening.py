"""Opening a text file as it came: compressed or not, with or without a byte order mark."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from neat_align.errors import DataError

MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order mark → encoding; without one a text is UTF-8, whose own mark is dropped."""
CONTENTS = {
    b"\x1f\x8b": ("gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"),
    b"BZh": ("bzip2", ".bz2"),
    b"\xfd7zXZ": ("xz", ".xz"),
    b"PAR1": ("Parquet", ".parquet"),
    b"PK\x03\x04": ("a zip or Excel file", ""),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", ""),
    b"version https://git-lfs": ("a pointer of Git LFS", ""),
}
"""First bytes → what they are of, and the suffix that says so."""


def _zst(path: Path) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


DECOMPRESSORS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zst,
}


def open_text(path: Path) -> TextIO:
    """Open a text with its line ends as they are (for CSV), without a byte order mark."""
    with open_bytes(path) as file:
        start = file.read(2)
    encoding = MARKS.get(start, "utf-8-sig")
    content = cast(Any, open_bytes(path))
    return io.TextIOWrapper(io.BufferedReader(content), encoding=encoding, newline="")


def open_bytes(path: Path) -> BinaryIO:
    """Open the bytes, decompressed where the suffix says so."""
    decompressor = DECOMPRESSORS.get(path.suffix)
    return cast(BinaryIO, decompressor(path) if decompressor else path.open("rb"))


def refuse_other_content(path: Path, kind: str) -> None:
    """Raise a `DataError` for a file whose first bytes are not of what its name says."""
    with path.open("rb") as file:
        start = file.read(32)
    for first, (content, suffix) in CONTENTS.items():
        if not start.startswith(first) or suffix in (kind, path.suffix):
            continue
        fix = "save it as CSV (UTF-8) or JSONL"
        if suffix:
            end = f"{kind}{suffix}" if suffix in DECOMPRESSORS else suffix
            fix = f"rename it to {path.name.removesuffix(path.suffix)}{end}"
        elif "LFS" in content:
            fix = "fetch the file itself: git lfs pull"
        raise DataError(f"data file {path}", f"its content is {content}, not {kind}", fix)


def undecodable(path: Path, error: UnicodeDecodeError) -> DataError:
    """Return the error of a text that is no UTF-8, with its line."""
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as found:
                byte = f"the byte 0x{line[found.start]:02x} after {found.start} others"
                return DataError(
                    f"{path}, line {number}",
                    f"it cannot be read: {byte} is no UTF-8",
                    'save the file as UTF-8 (in a spreadsheet: "CSV UTF-8")',
                )
    return DataError(f"data file {path}", f"it cannot be read: {error}", "save it as UTF-8")
