"""What is in a data set of groups, in one pass over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neat_align.data.groups.flags import DUPLICATE, EMPTY, TRUNCATED, group_flags, odd_responses
from neat_align.data.groups.wide import read_notes
from neat_align.types import Group

GAPS = (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0)
"""Lower ends of the classes that score gaps are counted in."""


def group_stats(groups: Iterable[Group]) -> dict[str, Any]:
    """Count groups, responses, flags and score gaps; average scores by source.

    Memory does not grow with the groups.
    """
    totals: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    gaps: Counter[float] = Counter()
    sources: dict[str, Counter[str]] = {}
    scores: dict[str, float] = {}
    for group in groups:
        totals["groups"] += 1
        totals["responses"] += len(group.responses)
        totals["tokens"] += sum(len(r.token_ids or ()) for r in group.responses)
        flags.update(group_flags(group))
        odd = {flag: odd_responses(group, flag) for flag in (DUPLICATE, EMPTY, TRUNCATED)}
        for i, response in enumerate(group.responses):
            source = str(response.source)
            counts = sources.setdefault(source, Counter())
            counts["responses"] += 1
            counts["characters"] += len(response.text)
            counts.update(flag for flag, found in odd.items() if found[i])
            scores[source] = scores.get(source, 0.0) + (response.score or 0.0)
        if group.is_scored:
            totals["scored"] += 1
            gap = max(group.scores) - min(group.scores)
            gaps[max((low for low in GAPS if low <= gap), default=GAPS[0])] += 1
    return {
        **totals,
        "flags": dict(sorted(flags.items())),
        "gaps": {f"{low:g}": gaps[low] for low in GAPS} if totals["scored"] else {},
        "sources": {
            source: {**counts, "mean_score": scores[source] / counts["responses"]}
            if totals["scored"]
            else dict(counts)
            for source, counts in sorted(sources.items())
        },
    }


def left_out(files: Iterable[Path]) -> dict[str, int]:
    """Count what `neat score` was asked to leave out of Parquet files, by reason."""
    dropped: Counter[str] = Counter()
    for file in files:
        if file.suffix == ".parquet":
            dropped.update(read_notes(file).get("dropped", {}))
    return {what: number for what, number in dropped.items() if number}
