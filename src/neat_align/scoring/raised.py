"""What a user's own code raised, in words, with the file and line where it happened."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path

PACKAGE = str(Path(__file__).parent.parent)
RAISED = (Exception, SystemExit, asyncio.CancelledError)
"""What counts as raised by a user's code: `sys.exit` must not end a run without a word."""


def told(error: BaseException, file: str = "") -> str:
    """Tell an error: "it raised ValueError: no such word, at rewards.py, line 7, in score".

    Args:
        file: whose line is told where it is among those passed; else the innermost line
            that is not of this package.
    """
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code if error.code is not None else ''})"
    else:
        message = str(error).strip() or "without a message"
        what = f"it raised {type(error).__name__}: {message[:500]}"
    place = _place(error, file)
    return f"{what}, at {place}" if place else what


def _place(error: BaseException, file: str) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if file and f.filename == file]
    others = [f for f in frames if not _is_ours(f.filename)]
    for frame in (own or others)[-1:]:
        return f"{frame.filename}, line {frame.lineno}, in {frame.name}"
    return ""


def _is_ours(filename: str) -> bool:
    return filename.startswith((PACKAGE, "<frozen"))
