"""What a data set of groups holds, and whether its scores can be learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neat_align.training.signal import Signal
    from neat_align.types import Group


def data_set_stats(groups: Path) -> dict[str, Any]:
    """Count responses by source, flags, score gaps, and what is missing or was left out.

    Args:
        groups: a file, or a directory of parts, which may still be written.
    """
    from neat_align.data import read_groups
    from neat_align.data.groups.finished import unfinished
    from neat_align.data.groups.missing import missing_stats
    from neat_align.data.groups.shards import group_files
    from neat_align.data.groups.stats import group_stats, left_out

    files = group_files(groups)
    return {
        **group_stats(read_groups(groups, unfinished=True)),
        **missing_stats(files),
        "left_out": left_out(files),
        "unfinished": unfinished(files[0].parent) if groups.is_dir() else [],
    }


def stored_figures(path: Path) -> Signal | None:
    """Compute what training on these groups by NEAT would log; None where none is scored."""
    from neat_align.data import read_groups
    from neat_align.objectives import NEAT
    from neat_align.training.signal import stored_signal

    def scored() -> Iterator[Group]:
        return (group for group in read_groups(path, unfinished=True) if group.is_scored)

    found = stored_signal(NEAT(), scored)
    return found if found.groups else None


def told_of(signal: Signal) -> Iterator[str]:
    """Tell the figures in a few lines, and what they give cause to doubt."""
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
    """Tell what is to be known of stored groups; nothing where none is scored."""
    if path.is_file() and path.stat().st_size == 0:
        return iter(["no group is left: nothing can be trained on"])
    found = stored_figures(path)
    return told_of(found) if found else iter(())
