"""The `neat` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from neat_align.cli.app import app
from neat_align.cli.quiet import quiet_console
from neat_align.errors import NeatError, RecipeError
from neat_align.storage.interruption import Interrupted, interruptible

__all__ = ["app", "main"]


SHARED = "train"  # the command that processes can do together


def _refuse_ranks() -> None:
    """Most commands write one directory, which ranks would do over each other."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and sys.argv[1:2] != [SHARED]:
        raise RecipeError(
            f"neat launched as {os.environ['WORLD_SIZE']} processes",
            "only `neat train` can be: of any other command each would do, and write, the same",
            "launch `-m neat_align train RECIPE`, or a script of yours with NEATTrainer",
        )


RENAMED = {"--base": "--reference", "--base-negative-fraction": "--reference-negative-fraction"}


def _refuse_renamed() -> None:
    """Tell the new name of an option that was called otherwise."""
    for old, new in RENAMED.items():
        given = {word.partition("=")[0] for word in sys.argv[2:]}
        if sys.argv[1:2] in (["sample"], ["score"]) and old in given:
            why = f"it is called {new}: the base is the unaligned model of an evaluation"
            raise RecipeError(f"option {old}", why, f"write {new}")


FIRST_TELLS = 10.0
"""Seconds that a rank gives the first one to tell of an error: mostly it finds the same."""


def _tell(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def _is_first() -> bool:
    """Whether this is the rank that speaks for its machine."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _tell_error(error: NeatError) -> None:
    """Print an error on stderr: once per machine where all of its ranks find the same.

    A launcher ends the others as soon as one rank has ended. So a later rank waits for the
    first, which would else be ended before it has told; if it is not ended itself meanwhile,
    the error is its own, and it tells.
    """
    if not _is_first():
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(FIRST_TELLS)
    _tell(f"error: {error}")


def _show_any_text() -> None:
    """Show as an escape what the terminal's encoding lacks, where Python would raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _import_from_here() -> None:
    """Find the modules that lie where one stands, after all others, as `python -m` does."""
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)


def main() -> None:
    """Entry point: a `NeatError` becomes its three parts on stderr, and exit code 2."""
    _show_any_text()
    quiet_console()
    try:
        with interruptible():
            _refuse_ranks()
            _refuse_renamed()
            _import_from_here()
            app()
    except NeatError as error:
        _tell_error(error)
        sys.exit(2)
    except Interrupted as stopped:
        if _is_first():
            _tell(
                "interrupted; what is finished stays: start the same command again to go on "
                "(with --resume where it has that option)"
            )
        sys.exit(stopped.args[0])
