"""A figure over several seeds: its mean, and an interval over seeds and queries.

The mean is that of the values on each seed's test queries. The interval is a bootstrap over
both: seeds are resampled, and within each the queries. Where a figure has no value per query
(KL, perplexity, distinct-2), seeds alone are resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from neat_align.evaluation.metric import Sample
from neat_align.evaluation.observations import Values, observations
from neat_align.evaluation.registry import metrics, suite_metrics
from neat_align.evaluation.statistics import clustered_share

RESAMPLES = 4000
WITHIN = 200  # resamples of each seed's queries, drawn from for every resample of the seeds
LEVELS = (2.5, 97.5)

Replicates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeedResult:
    """What one seed of a method gave.

    Attributes:
        figures: {metric: {"value": …, …}}.
        samples: every response behind them.
    """

    seed: int
    figures: Mapping[str, Mapping[str, float]]
    samples: Sequence[Sample]


def over_seeds(results: Sequence[SeedResult]) -> dict[str, dict[str, float]]:
    """Return the figures that all seeds have, with their intervals.

    A share that is 0 or 1 throughout gives a bootstrap nothing to draw from; it has Wilson's
    interval over the queries. One seed keeps the intervals of its own evaluation.
    """
    if len(results) == 1:
        return {name: dict(own) for name, own in results[0].figures.items()}
    drawn = replicates_of(results)
    found = {n: figure(n, fmean(values_of(results, n)), values) for n, values in drawn.items()}
    told = [_per_response(result) for result in results]
    for name, own in found.items():
        keyed = [item for seed in told for item in seed.get(name, {}).items()]
        if own["value"] in (0, 1) and keyed and all(isinstance(v, bool) for _, v in keyed):
            share = clustered_share([bool(v) for _, v in keyed], [q for (_, q, _), _ in keyed])
            own["low"], own["high"] = share.low, share.high
    return found


def values_of(results: Sequence[SeedResult], name: str) -> list[float]:
    """Return a figure of each seed."""
    return [result.figures[name]["value"] for result in results]


def replicates_of(results: Sequence[SeedResult]) -> dict[str, Replicates]:
    """[RESAMPLES] values of each figure under resampled seeds and queries.

    The random numbers depend on the seeds alone, so every method that ran on the same
    seeds is resampled alike.
    """
    names = set.intersection(*(set(result.figures) for result in results))
    seeds = [result.seed for result in results]
    rng = np.random.default_rng([len(seeds), *seeds])
    picked = rng.integers(0, len(seeds), (RESAMPLES, len(seeds)))
    draws = rng.integers(0, WITHIN, (RESAMPLES, len(seeds)))
    within = [_within_seed(result) for result in results]
    found = {}
    for name in sorted(names):
        table = np.stack([values[name] for values in within])  # [seeds, WITHIN]
        means = table[picked, draws].mean(axis=1)
        # A bootstrap of n seeds has (n − 1)/n of the variance it should have.
        centre = fmean(values_of(results, name))
        found[name] = centre + (means - centre) * _widening(len(seeds))
    return found


def _widening(seeds: int) -> float:
    """Return the factor of the spread over few seeds; 1 seed tells of queries alone."""
    return (seeds / (seeds - 1)) ** 0.5 if seeds > 1 else 1.0


def _within_seed(result: SeedResult) -> dict[str, Replicates]:
    """[WITHIN] values of each figure of one seed under resampled queries."""
    per_response, found = _per_response(result), {}
    for name, own in result.figures.items():
        if name in per_response:
            found[name] = _resampled(per_response[name], result.seed)
        else:
            found[name] = np.full(WITHIN, own["value"])
    return found


def _per_response(result: SeedResult) -> dict[str, Values]:
    """Return the observations behind the seed's figures, of those that are means."""
    own = [metric for metric in suite_metrics() if metric.name in result.figures]
    return observations(result.samples, own)


def _resampled(values: Mapping[tuple[str, str, int], float], seed: int) -> Replicates:
    """Means over resampled queries; the same queries are drawn for every method of a seed."""
    queries = sorted({query for _, query, _ in values})
    place = {query: i for i, query in enumerate(queries)}
    sums, counts = np.zeros(len(queries)), np.zeros(len(queries))
    for (_, query, _), value in values.items():
        sums[place[query]] += value
        counts[place[query]] += 1
    rng = np.random.default_rng([seed, len(queries)])
    picks = rng.integers(0, len(queries), (WITHIN, len(queries)))
    return sums[picks].sum(axis=1) / counts[picks].sum(axis=1)


def figure(name: str, value: float, replicates: Replicates) -> dict[str, float]:
    """Give a figure its interval; that of a share stays between 0 and 1."""
    found = interval(value, replicates)
    if name in metrics() and metrics()[name].unit == "share":
        found["low"], found["high"] = max(0.0, found["low"]), min(1.0, found["high"])
    return found


def interval(value: float, replicates: Replicates) -> dict[str, float]:
    """Give a value the interval of its replicates."""
    low, high = np.percentile(replicates, LEVELS)
    return {"value": value, "low": float(low), "high": float(high)}
