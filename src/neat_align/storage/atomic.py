"""Files and directories that are written whole or not at all.

What exists is complete: everything is written to a sibling, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neat_align.errors import OutputError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write_bytes` of UTF-8 text."""
    atomic_write_bytes(path, text.encode())


def atomic_write_json(path: Path, value: Any) -> None:
    """`atomic_write_text` of indented JSON; NaN is refused."""
    atomic_write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write `path` whole or not at all.

    Raises:
        OutputError: the directory cannot be written, or the disk is full.
    """
    temporary = _sibling(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Failures of the disk within the block as `OutputError`, whichever library met them."""
    try:
        yield
    except Exception as error:
        if not _is_of_disk(error):
            raise
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Open a directory to fill, which is called `path` when the block ends without error.

    What `path` held before stays until then, and is replaced as a whole.

    Raises:
        OutputError: it, or what the block writes, cannot be written. Other errors of the
            block pass through.
    """
    temporary = _sibling(path)
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with writing(path):
            yield temporary
        _take_name(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OutputError: there is no such file, or it is not JSON (cut short, or edited).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OutputError(
            f"{path}", "there is no such file", "finish the stage that writes it"
        ) from error
    except ValueError as error:
        raise OutputError(
            f"{path}", f"it is not valid JSON: {error}", "restore it, or start a new directory"
        ) from error


def cannot_write(path: Path | str, error: Exception) -> OutputError:
    """Return the error of a disk that does not take what was to be written at `path`."""
    return OutputError(
        f"writing {path}",
        getattr(error, "strerror", None) or str(error).splitlines()[0],
        "free some space or choose a directory that can be written; what is finished stays",
    )


def _sibling(path: Path, use: str = "new") -> Path:
    """Make a hidden name beside `path` (a rename in a directory is atomic), used once.

    Made by hand, since `tempfile` makes private files, and a result is to be shared.
    """
    return path.with_name(f".{path.name}-{use}-{uuid.uuid4().hex[:8]}")


def _take_name(new: Path, path: Path) -> None:
    """Rename a finished directory to `path`; what stood there goes, but not before."""
    old = _sibling(path, "old")
    try:
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error
    shutil.rmtree(old, ignore_errors=True)


OF_TORCH = ("PytorchStreamWriter", "iostream error", "inline_container")
"""Words of torch's errors while it writes an archive, and when it closes one cut short."""


def _is_of_disk(error: Exception) -> bool:
    """Tell whether the disk is full, read-only or broken, or has come to a quota.

    torch and safetensors have errors of their own for it.
    """
    if isinstance(error, OSError):
        return error.errno in DISK
    return type(error).__name__ == "SafetensorError" or any(w in str(error) for w in OF_TORCH)
