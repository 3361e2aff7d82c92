"""Intervals: every figure comes with its n and a 95 % interval.

Several responses to one query are not independent: they stand or fall together. Where a
function takes `clusters` (the query of each observation), its interval is as wide as the
number of queries warrants, not as narrow as the number of responses suggests.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Z = 1.959963984540054  # two-sided 95 % point of the normal distribution
RESAMPLES = 2000
BLOCK = 2_000_000  # resampled values held in memory at once

Numbers = Sequence[float] | npt.NDArray[Any]


@dataclass(frozen=True)
class Interval:
    """A figure, its 95 % interval, and the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def share_interval(count: int, n: int, effective_n: float | None = None) -> Interval:
    """Compute a share with its Wilson score interval (Wilson 1927).

    Args:
        count: observations that have the property.
        n: observations.
        effective_n: independent observations they are worth; `n` when None.

    Raises:
        ValueError: n is 0, or count is not within 0 and n.
    """
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"no share of {count} in {n}")
    p, m = count / n, effective_n or n
    centre = (p + Z**2 / (2 * m)) / (1 + Z**2 / m)
    half = Z / (1 + Z**2 / m) * sqrt(p * (1 - p) / m + Z**2 / (4 * m**2))
    low = 0.0 if count == 0 else centre - half
    high = 1.0 if count == n else centre + half
    return Interval(p, low, high, n)


def clustered_share(outcomes: Sequence[bool], clusters: Sequence[Hashable]) -> Interval:
    """Compute a share of clustered observations: Wilson's interval at the effective n.

    The effective n is that of a simple sample with the same variance, between the number
    of clusters and the number of observations; with nothing to estimate it from (0 or all),
    it is the number of clusters.
    """
    count, n = sum(map(bool, outcomes)), len(outcomes)
    sums, sizes = _by_cluster(np.asarray(outcomes, dtype=float), clusters)
    m, p = len(sums), count / max(n, 1)
    if m == n or p in (0, 1):
        return share_interval(count, n, m)
    variance = m / (m - 1) * float(((sums - p * sizes) ** 2).sum()) / n**2 if m > 1 else 0.0
    effective = p * (1 - p) / variance if variance else m
    return share_interval(count, n, min(max(effective, m), n))


def share_difference(
    first: Sequence[bool], second: Sequence[bool], clusters: Sequence[Hashable] | None = None
) -> Interval:
    """Share of first − share of second over pairs (Newcombe 1998, paired data, method 10).

    Unlike a bootstrap it stays honest at 0 and 100 %, where aligned models live.

    Raises:
        ValueError: the two have different lengths, or are empty.
    """
    _check_pairs(first, second)
    clusters = range(len(first)) if clusters is None else clusters
    one, two = clustered_share(first, clusters), clustered_share(second, clusters)
    phi = _corrected_phi(np.asarray(first, dtype=bool), np.asarray(second, dtype=bool))
    below = _joined(one.value - one.low, two.high - two.value, phi)
    above = _joined(one.high - one.value, two.value - two.low, phi)
    difference = one.value - two.value
    return Interval(difference, difference - below, difference + above, one.n)


def mean_interval(
    values: Numbers, seed: int = 0, clusters: Sequence[Hashable] | None = None
) -> Interval:
    """Compute a mean with its bootstrap percentile interval, resampling whole clusters.

    One observation tells nothing of its spread: the interval is then the value itself.

    Raises:
        ValueError: no values.
    """
    data = np.asarray(values, dtype=float)
    if len(data) == 0:
        raise ValueError("the mean of nothing")
    sums, sizes = _by_cluster(data, range(len(data)) if clusters is None else clusters)
    low, high = np.percentile(_resampled_ratios(sums, sizes, seed), [2.5, 97.5])
    return Interval(float(data.mean()), float(low), float(high), len(data))


def paired_difference(
    first: Numbers,
    second: Numbers,
    seed: int = 0,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Mean of first − second over pairs, with its bootstrap interval.

    Raises:
        ValueError: the two have different lengths, or are empty.
    """
    _check_pairs(first, second)
    return mean_interval(np.subtract(first, second), seed, clusters)


def perplexity_interval(nll: Sequence[float], tokens: Sequence[int], seed: int = 0) -> Interval:
    """exp(Σ nll / Σ tokens) over texts, with its bootstrap interval; n counts texts.

    Raises:
        ValueError: no text, or none with a token.
    """
    sums, sizes = np.asarray(nll, dtype=float), np.asarray(tokens, dtype=float)
    if not sizes.sum():
        raise ValueError("the perplexity of nothing")
    low, high = np.percentile(np.exp(_resampled_ratios(sums, sizes, seed)), [2.5, 97.5])
    return Interval(float(np.exp(sums.sum() / sizes.sum())), float(low), float(high), len(sums))


def _resampled_ratios(
    sums: npt.NDArray[Any], sizes: npt.NDArray[Any], seed: int
) -> npt.NDArray[Any]:
    """Σ sums / Σ sizes of each bootstrap resample, `[RESAMPLES]`."""
    rng = np.random.default_rng(seed)
    n = len(sums)
    rows = max(1, BLOCK // n)
    ratios = []
    for start in range(0, RESAMPLES, rows):
        picks = rng.integers(0, n, (min(rows, RESAMPLES - start), n))
        ratios.append(sums[picks].sum(axis=-1) / sizes[picks].sum(axis=-1))
    return np.concatenate(ratios)


def _by_cluster(
    values: npt.NDArray[Any], clusters: Sequence[Hashable]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Sum and size of each cluster, in the order of their first members."""
    number = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    index = np.array([number[name] for name in clusters], dtype=int)
    return np.bincount(index, weights=values), np.bincount(index).astype(float)


def _check_pairs(first: Sequence[Any] | npt.NDArray, second: Sequence[Any] | npt.NDArray) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values cannot be paired with {len(second)}")


def _corrected_phi(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Correlation of paired outcomes with Newcombe's continuity correction; 0 if undefined."""
    a, d = int((first & second).sum()), int((~first & ~second).sum())
    b, c = int((first & ~second).sum()), int((~first & second).sum())
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    excess = float(a * d - b * c)
    if excess > 0:
        excess = max(excess - len(first) / 2, 0.0)
    return excess / sqrt(margins)


def _joined(one: float, two: float, phi: float) -> float:
    """Length of two correlated distances taken together."""
    return sqrt(max(0.0, one**2 - 2 * phi * one * two + two**2))
