"""Means of what was recorded between two logs, over all ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from accelerate.utils import gather_object


class RunningMeans:
    """Collects figures of parts of a batch, weighted by the groups they were taken from."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[float, int]]] = {}  # (value, groups)

    def add(self, figures: Mapping[str, float], groups: int) -> None:
        for name, value in figures.items():
            self._found.setdefault(name, []).append((value, groups))

    def take(self, processes: int = 1) -> dict[str, float]:
        """The means, and a new beginning. With several processes, all must call it."""
        found, self._found = self._found, {}
        of_ranks = gather_object([found]) if processes > 1 else [found]
        names = dict.fromkeys(name for one in of_ranks for name in one)
        return {n: _mean([v for one in of_ranks for v in one.get(n, ())]) for n in names}


def _mean(values: list[tuple[float, int]]) -> float:
    return math.fsum(v * n for v, n in values) / sum(n for _, n in values)
