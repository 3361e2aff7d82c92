"""From samples to figures: every metric's value, interval and change.

A figure is the mean of its observations, and its change against another model the mean
difference over the same queries and draws; so both come from one definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neat_align.evaluation.metric import Metric, Sample
from neat_align.evaluation.statistics import (
    Interval,
    clustered_share,
    mean_interval,
    paired_difference,
    share_difference,
)

Key = tuple[str, str, int]  # condition, query, draw
Values = Mapping[Key, float | bool]


def observations(samples: Sequence[Sample], metrics: Sequence[Metric]) -> dict[str, Values]:
    """Return {metric: {(condition, query, draw): value}}, of the metrics that are means."""
    found: dict[str, Values] = {}
    for metric in metrics:
        if metric.observe is not None:
            values = {_key(sample): metric.observe(sample) for sample in samples}
            told = {key: value for key, value in values.items() if value is not None}
            if told:
                found[metric.name] = told
    return found


def figures(samples: Sequence[Sample], metrics: Sequence[Metric], seed: int) -> dict[str, Interval]:
    """Return every figure that a model's responses give, with its interval."""
    found = {}
    for name, told in observations(samples, metrics).items():
        values, clusters = list(told.values()), [query for _, query, _ in told]
        if _is_share(values):
            found[name] = clustered_share([bool(value) for value in values], clusters)
        else:
            found[name] = mean_interval(values, seed, clusters)
    for metric in metrics:
        interval = metric.measure(samples) if metric.measure is not None else None
        if interval is not None:
            found[metric.name] = interval
    return found


def differences(
    samples: Sequence[Sample], base: Sequence[Sample], metrics: Sequence[Metric], seed: int
) -> dict[str, Interval]:
    """Return model − base for each mean that both have, paired by query and draw."""
    own, other = observations(samples, metrics), observations(base, metrics)
    found = {}
    for name in own:
        keys = [key for key in own[name] if key in other.get(name, {})]
        if not keys:
            continue
        first, second = ([table[name][key] for key in keys] for table in (own, other))
        clusters = [query for _, query, _ in keys]
        if _is_share([*first, *second]):
            ones = ([bool(v) for v in first], [bool(v) for v in second])
            found[name] = share_difference(*ones, clusters)
        else:
            found[name] = paired_difference(first, second, seed, clusters)
    return found


def _key(sample: Sample) -> Key:
    return sample["condition"], sample["query_id"], sample["draw"]


def _is_share(values: Sequence[float | bool]) -> bool:
    return all(isinstance(value, bool) for value in values)
