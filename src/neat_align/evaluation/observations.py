"""What each figure counts: one number for each response that has a say in it.

A figure is the mean of its observations, and its change against another model the mean
difference over the same queries and draws; so both come from one definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from neat_align.evaluation.metrics import distinct_n, repetition
from neat_align.evaluation.safety import RATES
from neat_align.evaluation.statistics import (
    Interval,
    Z,
    clustered_share,
    mean_interval,
    paired_difference,
    share_difference,
)

PLAIN, SEEN, UNSEEN = "plain", "seen_negative", "unseen_negative"
CONDITIONS = (PLAIN, SEEN, UNSEEN)
HARMFUL_UNDER = {SEEN: f"harmful_under_{SEEN}", UNSEEN: f"harmful_under_{UNSEEN}"}
SHARES = frozenset((*RATES, *HARMFUL_UNDER.values()))
LEFT_OUT = 10  # parts of the jackknife

Sample = Mapping[str, Any]
Key = tuple[str, str, int]  # condition, query, draw


def observations(samples: Sequence[Sample]) -> dict[str, dict[Key, float]]:
    """{figure: {(condition, query, draw): value}}; shares count 1 and 0."""
    found: dict[str, dict[Key, float]] = {}
    for sample in samples:
        key = (sample["condition"], sample["query_id"], sample["draw"])
        for name, value in _of_response(sample):
            found.setdefault(name, {})[key] = value
    return {name: found[name] for name in sorted(found, key=_place)}


def figures(samples: Sequence[Sample], seed: int) -> dict[str, Interval]:
    """Every figure that a model's responses give, with its interval."""
    found = {}
    for name, values in observations(samples).items():
        clusters = [query for _, query, _ in values]
        if name in SHARES:
            found[name] = clustered_share([value == 1 for value in values.values()], clusters)
        else:
            found[name] = mean_interval(list(values.values()), seed, clusters)
    plain = [s for s in samples if s["condition"] == PLAIN]
    for n in (1, 2):
        found[f"distinct_{n}"] = distinct_interval(plain, n)
    return found


def differences(
    samples: Sequence[Sample], base: Sequence[Sample], seed: int
) -> dict[str, Interval]:
    """Model − base for each figure that both have, paired by query and draw."""
    own, other = observations(samples), observations(base)
    found = {}
    for name in own:
        keys = [key for key in own[name] if key in other.get(name, {})]
        if not keys:
            continue
        first, second = ([table[name][key] for key in keys] for table in (own, other))
        clusters = [query for _, query, _ in keys]
        if name in SHARES:
            ones = ([v == 1 for v in first], [v == 1 for v in second])
            found[name] = share_difference(*ones, clusters)
        else:
            found[name] = paired_difference(first, second, seed, clusters)
    return found


def distinct_interval(samples: Sequence[Sample], n: int) -> Interval:
    """Distinct-n with an interval from leaving out a tenth of the queries at a time.

    A bootstrap would repeat texts and push distinct-n down; here every text counts once
    (delete-a-group jackknife, Kott 2001).
    """
    value = distinct_n([s["text"] for s in samples], n)
    number = {query: i for i, query in enumerate(dict.fromkeys(s["query_id"] for s in samples))}
    parts = min(LEFT_OUT, len(number))
    if parts < 2:
        return Interval(value, value, value, len(samples))
    left_out = [
        distinct_n([s["text"] for s in samples if number[s["query_id"]] % parts != part], n)
        for part in range(parts)
    ]
    centre = fmean(left_out)
    spread = ((parts - 1) / parts * sum((x - centre) ** 2 for x in left_out)) ** 0.5
    low, high = max(0.0, value - Z * spread), min(1.0, value + Z * spread)
    return Interval(value, low, high, len(samples))


def _of_response(sample: Sample) -> Iterator[tuple[str, float]]:
    condition, verdict = sample["condition"], sample["verdict"]
    if condition == PLAIN:
        if verdict is not None:
            for name, rate in RATES.items():
                if sample["kind"] in rate.kinds:
                    yield name, float(verdict == rate.verdict)
        yield "repetition", repetition(sample["text"])
        yield "mean_length", float(sample["tokens"])
    elif verdict is not None:
        yield HARMFUL_UNDER[condition], float(verdict == "harmful")
    # Without a checker the reward stands in for harm under negative prompts.
    if condition == PLAIN or verdict is None:
        under = "" if condition == PLAIN else f"_under_{condition}"
        for scorer, score in sample["scores"].items():
            if score is not None:
                yield f"reward_{scorer}{under}", score


def _place(name: str) -> int:
    """Rates first, in their order; the rest as they come."""
    order = (*RATES, *HARMFUL_UNDER.values())
    return order.index(name) if name in order else len(order)
