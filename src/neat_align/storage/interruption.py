"""SIGINT and SIGTERM (pre-emption): stop where files are whole, or after a last save.

Only a command that asked for it (`interruptible`) handles signals; in somebody else's
program they are left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM)
NOTED = b"\nstopping: the current step is finished and saved; once more stops at once\n"


class Interrupted(BaseException):
    """A signal asked the process to stop; carries the exit status that shells expect."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Signals raise `Interrupted` within the block, so that what is being written is left whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(_interrupt):
        yield


@contextlib.contextmanager
def postponed() -> Iterator[Callable[[], bool]]:
    """Note the first signal within the block, and raise it at its end.

    Yields a function that tells whether one came, for the block to end soon. A second signal
    interrupts at once. If the process handles signals otherwise, the block never hears of one.
    """
    if signal.getsignal(signal.SIGTERM) is not _interrupt:
        yield lambda: False
        return
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        if noted:
            _interrupt(number, frame)
        noted.append(number)
        os.write(2, NOTED)  # print may be what was interrupted

    with _handled_by(note):
        yield lambda: bool(noted)
    if noted:
        _interrupt(noted[0], None)


def _interrupt(number: int, frame: Any) -> None:
    raise Interrupted(128 + number)


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in NUMBERS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
