"""Means of what was recorded between two logs, over all ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from accelerate.utils import gather_object

Weighted = Mapping[str, tuple[float, float]]
"""Name → a mean, and the weight of what it is the mean of."""


class RunningMeans:
    """Collects figures of parts of a batch; the mean is that of the whole, however it is cut."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[float, float]]] = {}  # (mean, weight)

    def add(self, figures: Mapping[str, float], weight: float) -> None:
        """Figures that are all means of equally much."""
        self.add_weighted({name: (value, weight) for name, value in figures.items()})

    def add_weighted(self, figures: Weighted) -> None:
        """Figures with a weight each; those of weight 0 say nothing and are left out."""
        for name, (value, weight) in figures.items():
            if weight:
                self._found.setdefault(name, []).append((value, weight))

    def take(self, processes: int = 1) -> dict[str, float]:
        """The means; what comes next is counted anew. With several processes, all must call it."""
        found, self._found = self._found, {}
        of_ranks = gather_object([found]) if processes > 1 else [found]
        names = dict.fromkeys(name for one in of_ranks for name in one)
        return {n: _mean([v for one in of_ranks for v in one.get(n, ())]) for n in names}


def _mean(values: list[tuple[float, float]]) -> float:
    return math.fsum(v * n for v, n in values) / math.fsum(n for _, n in values)
