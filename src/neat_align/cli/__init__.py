"""The `neat` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys

from rich.console import Console

from neat_align.cli.app import app
from neat_align.errors import NeatError

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: a `NeatError` becomes its three parts on stderr, and exit code 2."""
    try:
        app()
    except NeatError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; what is finished stays")
        sys.exit(130)
