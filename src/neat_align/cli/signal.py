"""What `neat score` and `neat dataset stats` say of whether scores can be learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neat_align.training.signal import Signal
    from neat_align.types import Group


def stored_figures(path: Path) -> Signal | None:
    """The figures that training on these groups by NEAT would log; None where none is scored."""
    from neat_align.data import read_groups
    from neat_align.objectives import NEAT
    from neat_align.training.signal import stored_signal

    def scored() -> Iterator[Group]:
        return (group for group in read_groups(path, unfinished=True) if group.is_scored)

    found = stored_signal(NEAT(), scored)
    return found if found.groups else None


def told_of(signal: Signal) -> Iterator[str]:
    """The figures in a few lines, and what they give cause to doubt."""
    from neat_align.objectives import NEAT

    yield (
        f"groups with a usable pair: {signal.usable} of {signal.groups} "
        f"({signal.usable / signal.groups:.0%}); score spread {signal.spread:.3g}"
    )
    sources = (f"{source} {value:.3g}" for source, value in signal.deviations().items())
    yield f"score spread by source: {', '.join(sources)}"
    if signal.negatives:
        yield (
            f"negative responses that score below the plain ones: {signal.below} of "
            f"{signal.negatives} ({signal.below / signal.negatives:.0%})"
        )
    for doubt in signal.doubts(NEAT()):
        yield f"warning: {doubt}"


def signal_lines(path: Path) -> Iterator[str]:
    """What is to be told of stored groups; nothing where none is scored."""
    if path.is_file() and path.stat().st_size == 0:
        return iter(["no group is left: nothing can be trained on"])
    found = stored_figures(path)
    return told_of(found) if found else iter(())
