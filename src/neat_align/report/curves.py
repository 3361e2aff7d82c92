"""Which rows of metrics.jsonl make which chart, and how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neat_align.report.charts import Points, line_chart

Rows = Sequence[Mapping[str, Any]]

SOURCE_COLOURS = {"plain": "k0", "negative": "k1", "positive": "k2", "data": "k3"}
LOGP_COLOURS = {"chosen": "k2", "rejected": "k1", "negative": "k4", "other": "k0"}


@dataclass(frozen=True)
class Curve:
    """One chart of a training run.

    Attributes:
        title: its heading.
        note: a sentence on how to read it.
        keys: names in the rows, or a prefix ("loss/") that stands for all that start so.
        colours: colour class by the name's last part.
        percent: the values are shares.
    """

    title: str
    note: str
    keys: tuple[str, ...]
    colours: Mapping[str, str] | None = None
    percent: bool = False


CURVES = (
    Curve(
        "Reward by source",
        "Mean score of the responses drawn in training. Negative prompts bring out the worst; "
        "the gap closes as the model learns to answer well in spite of them.",
        ("reward/",),
        SOURCE_COLOURS,
    ),
    Curve(
        "Negative responses that are still bad",
        "Share of responses under negative prompts that score below their group's others.",
        ("negatives/still_bad",),
        percent=True,
    ),
    Curve(
        "Reward of held-out queries by source",
        "Mean score of the responses to queries that are not trained on.",
        ("eval/reward/",),
        SOURCE_COLOURS,
    ),
    Curve(
        "Groups that teach something",
        "Share of groups whose scores differ enough to learn from.",
        ("signal/usable",),
        percent=True,
    ),
    Curve("Loss terms", "What the optimiser sees, before weighting.", ("loss/",)),
    Curve(
        "Log-probability, nats per token",
        "Of the best and the worst response of each group. The best should not fall.",
        ("logps/",),
        LOGP_COLOURS,
    ),
    Curve(
        "Distance to the reference, nats per response",
        "Mean log-ratio of the responses drawn: how far the model has moved.",
        ("kl",),
    ),
    Curve(
        "Distinct-2 of the responses drawn",
        "Different word pairs over all. A steep fall warns of collapse.",
        ("distinct_2",),
    ),
    Curve("Tokens a second", "Of each part of the loop.", ("tokens_per_second/",)),
)
COMPARED = (
    Curve("Reward, all methods", "By the training scorer.", ("reward",)),
    Curve("Distance to the reference, all methods", "Nats per response.", ("kl",)),
    Curve("Distinct-2, all methods", "Of the responses drawn.", ("distinct_2",)),
)


def run_charts(rows: Rows) -> list[str]:
    """Draw the charts of one run, without those that have no value."""
    found = []
    for curve in CURVES:
        series = {name.rpartition("/")[2]: _points(rows, name) for name in _names(rows, curve)}
        found.append(
            line_chart(
                series, "optimiser step", curve.title, curve.note, curve.colours, curve.percent
            )
        )
    return [chart for chart in found if chart]


def compared_charts(metrics: Mapping[str, Rows], colours: Mapping[str, str]) -> list[str]:
    """All methods' runs in one chart each; none when only one method has rows."""
    known = {method: rows for method, rows in metrics.items() if rows}
    if len(known) < 2:
        return []
    found = []
    for curve in COMPARED:
        (key,) = curve.keys
        series = {method: _points(rows, key) for method, rows in known.items()}
        found.append(line_chart(series, "optimiser step", curve.title, curve.note, colours))
    return [chart for chart in found if chart]


def _names(rows: Rows, curve: Curve) -> Iterator[str]:
    """List the names that occur, in the order of the colours, then of their first row."""
    seen = list(dict.fromkeys(name for row in rows for name in row))
    order = list(curve.colours or ())
    for key in curve.keys:
        found = [n for n in seen if (n.startswith(key) if key.endswith("/") else n == key)]
        rank = {n: order.index(p) for n in found if (p := n.rpartition("/")[2]) in order}
        yield from sorted(found, key=lambda n: rank.get(n, len(order)))


def _points(rows: Rows, name: str) -> Points:
    """Numbers only: a row may lack the name, or hold null."""
    return [
        (float(row["step"]), float(row[name]))
        for row in rows
        if isinstance(row.get("step"), int | float) and isinstance(row.get(name), int | float)
    ]
