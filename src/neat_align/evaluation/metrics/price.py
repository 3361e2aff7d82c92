"""What a training costs beside its aim: distance to the base, forgetting, monotony, length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import fmean

from neat_align.evaluation.metric import Metric, Sample
from neat_align.evaluation.results import PLAIN
from neat_align.evaluation.statistics import Interval, Z
from neat_align.texts import distinct_n, repetition

LEFT_OUT = 10  # parts of the jackknife


def distinct_interval(samples: Sequence[Sample], n: int) -> Interval:
    """Compute distinct-n with an interval from leaving out a tenth of the queries at a time.

    A bootstrap would repeat texts and push distinct-n down; here every text counts once
    (delete-a-group jackknife, Kott 2001).
    """
    samples = [s for s in samples if s["condition"] == PLAIN]
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


def _repetition(sample: Sample) -> float | None:
    return repetition(sample["text"]) if sample["condition"] == PLAIN else None


def _tokens(sample: Sample) -> float | None:
    return float(sample["tokens"]) if sample["condition"] == PLAIN else None


KL = Metric(
    "kl",
    "KL to the base",
    "How far the model moved from the base: nats per response, estimated on its own "
    "responses (exact in the mean when they are drawn at temperature 1).",
    "lower",
)
PERPLEXITY = Metric(
    "ppl_pretrain",
    "Perplexity",
    "Surprise at the text the base was trained on: a rise means forgetting.",
    "lower",
)
DISTINCT_2 = Metric(
    "distinct_2",
    "Distinct-2",
    "Different pairs of neighbouring words over all such pairs: a fall means monotony.",
    "higher",
    measure=partial(distinct_interval, n=2),
)
DISTINCT_1 = Metric(
    "distinct_1",
    "Distinct-1",
    "Different words over all words of the responses; low when the same words recur.",
    "higher",
    shown=(),
    measure=partial(distinct_interval, n=1),
)
REPETITION = Metric(
    "repetition",
    "Repetition",
    "Share of four-word runs that occurred before in the same response.",
    "lower",
    "share",
    shown=(),
    observe=_repetition,
)
MEAN_LENGTH = Metric(
    "mean_length",
    "Length",
    "Mean tokens in a response, the end mark included.",
    shown=("report",),
    observe=_tokens,
)
