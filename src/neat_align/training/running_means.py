"""Means and deviations of what was recorded between two logs, over all ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accelerate.utils import gather_object


@dataclass(frozen=True)
class Moments:
    """How many numbers there are, their mean, and the sum of their squared distances from it."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Moments:
        """Count some numbers in (Welford)."""
        count, mean, squares = 0, 0.0, 0.0
        for count, value in enumerate(values, 1):
            step = value - mean
            mean += step / count
            squares += step * (value - mean)
        return cls(count, mean, squares)

    def __add__(self, other: Moments) -> Moments:
        """Join both parts' numbers (Chan, Golub and LeVeque)."""
        count = self.count + other.count
        if not count:
            return self
        apart, share = other.mean - self.mean, other.count / count
        squares = self.squares + other.squares + apart * apart * self.count * share
        return Moments(count, self.mean + apart * share, squares)

    @property
    def deviation(self) -> float:
        """The standard deviation; 0 of no numbers."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


Weighted = Mapping[str, tuple[float, float]]
"""Name → a mean, and the weight of what it is the mean of."""


class RunningMeans:
    """Collects figures of parts of a batch; what is told is of the whole, however it is cut."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[float, float]]] = {}  # (mean, weight)
        self._moments: dict[str, Moments] = {}

    def add(self, figures: Mapping[str, float], weight: float) -> None:
        """Add figures that are all means of equally much."""
        self.add_weighted({name: (value, weight) for name, value in figures.items()})

    def add_weighted(self, figures: Weighted) -> None:
        """Add figures with a weight each; those of weight 0 say nothing and are left out."""
        for name, (value, weight) in figures.items():
            if weight:
                self._found.setdefault(name, []).append((value, weight))

    def add_moments(self, figures: Mapping[str, Moments]) -> None:
        """Add numbers by their moments; the standard deviation of all of them is returned."""
        for name, found in figures.items():
            self._moments[name] = self._moments.get(name, Moments()) + found

    def take(self, processes: int = 1) -> dict[str, float]:
        """Return the means and reset; a collective call."""
        own = self._found, self._moments
        self._found, self._moments = {}, {}
        whole = RunningMeans()
        for found, moments in gather_object([own]) if processes > 1 else [own]:
            for name, values in found.items():
                whole._found.setdefault(name, []).extend(values)
            whole.add_moments(moments)
        deviations = {name: known.deviation for name, known in whole._moments.items()}
        return {name: _mean(values) for name, values in whole._found.items()} | deviations


def _mean(values: list[tuple[float, float]]) -> float:
    return math.fsum(v * n for v, n in values) / math.fsum(n for _, n in values)
