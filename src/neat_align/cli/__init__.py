"""The `neat` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys

from rich.console import Console

from neat_align.cli.app import app
from neat_align.errors import NeatError, RecipeError
from neat_align.interruption import Interrupted, interruptible

__all__ = ["app", "main"]


def _refuse_ranks() -> None:
    """The commands write one directory, which ranks would do over each other."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            f"neat launched as {os.environ['WORLD_SIZE']} processes",
            "its commands run in one: each would do, and write, the same",
            "launch a script of yours with NEATTrainer (README: more than one process)",
        )


def main() -> None:
    """Entry point: a `NeatError` becomes its three parts on stderr, and exit code 2."""
    try:
        with interruptible():
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
