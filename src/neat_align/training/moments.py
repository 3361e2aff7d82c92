"""The standard deviation of numbers that come in parts: of several refreshes, of several ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


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
