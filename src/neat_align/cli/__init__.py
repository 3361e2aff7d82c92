"""The `neat` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from neat_align.cli.app import app
from neat_align.errors import NeatError, RecipeError

__all__ = ["app", "main"]


def _refuse_ranks() -> None:
    """The commands write one directory, which ranks would do over each other."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            f"neat launched as {os.environ['WORLD_SIZE']} processes",
            "its commands run in one: each would do, and write, the same",
            "launch a script of yours with NEATTrainer (README: more than one process)",
        )


class Interrupted(BaseException):
    """A signal asked the process to stop; carries the exit status that shells expect."""


def _interrupt(number: int, frame: Any) -> None:
    raise Interrupted(128 + number)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM (pre-emption) raise `Interrupted`, so that files are left whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Entry point: a `NeatError` becomes its three parts on stderr, and exit code 2."""
    try:
        with _interruptible():
            _refuse_ranks()
            app()
    except NeatError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False)
        sys.exit(2)
    except Interrupted as stopped:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            "interrupted; what is finished stays: start the same command again to go on "
            "(with --resume where it has that option)"
        )
        sys.exit(stopped.args[0])
