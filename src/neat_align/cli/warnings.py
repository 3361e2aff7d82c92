"""Warnings on the console: what can be run, and is most likely not meant."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

SAID: set[str] = set()
"""What this command has warned of, so that a library call does not say it again."""


def warn(texts: Iterable[str]) -> None:
    """Print warnings on stderr, a line each."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for text in texts:
        SAID.add(text)
        console.print(f"warning: {text}", markup=False)
