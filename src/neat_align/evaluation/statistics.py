"""Intervals: every figure comes with its n and a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np

Z = 1.959963984540054  # two-sided 95 % point of the normal distribution
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A figure, its 95 % interval, and the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def share_interval(count: int, n: int) -> Interval:
    """A share with its Wilson score interval (Wilson 1927).

    Raises:
        ValueError: n is 0.
    """
    if n == 0:
        raise ValueError("the share of nothing")
    p = count / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half), n)


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """A mean with its bootstrap percentile interval.

    Raises:
        ValueError: no values.
    """
    data = np.asarray(values, dtype=float)
    if len(data) == 0:
        raise ValueError("the mean of nothing")
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(data), (RESAMPLES, len(data)))
    low, high = np.percentile(data[picks].mean(axis=-1), [2.5, 97.5])
    return Interval(float(data.mean()), float(low), float(high), len(data))


def perplexity_interval(nll: Sequence[float], tokens: Sequence[int], seed: int = 0) -> Interval:
    """exp(Σ nll / Σ tokens) over texts, with its bootstrap interval; n counts texts."""
    data = np.stack([np.asarray(nll, dtype=float), np.asarray(tokens, dtype=float)])
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, data.shape[1], (RESAMPLES, data.shape[1]))
    sums = data[:, picks].sum(axis=-1)
    low, high = np.percentile(np.exp(sums[0] / sums[1]), [2.5, 97.5])
    value = float(np.exp(data[0].sum() / data[1].sum()))
    return Interval(value, float(low), float(high), data.shape[1])


def paired_difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Interval:
    """Mean of first − second over pairs, with its bootstrap interval.

    Raises:
        ValueError: the two have different lengths, or are empty.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values cannot be paired with {len(second)}")
    return mean_interval(np.subtract(first, second), seed)
