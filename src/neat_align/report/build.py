"""The report: one HTML file that needs no network and trusts no model.

Every text a model wrote is escaped by jinja2's autoescape; control and bidirectional
characters, which could hide or reorder text, are shown as their code points; and the page
forbids itself scripts and requests, so that what slipped through could not run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from neat_align.evaluation.metric import PARTS, Metric, Shown
from neat_align.prompts.phrasing import Phrasing
from neat_align.prompts.steering import SIDES
from neat_align.report.charts import COLOURS, Mark, scatter_chart, strip
from neat_align.report.curves import compared_charts, run_charts
from neat_align.report.escaping import template
from neat_align.report.glossary import entry, in_order, shown, shown_change
from neat_align.report.responses import (
    CONDITIONS,
    SHOWN_PAIRS,
    failures,
    pairs,
    spread,
)
from neat_align.storage.atomic import atomic_write_text

BASE = "base"
ROUNDING = 1e-9  # a change that is no more is the error of adding floats
SCATTERS = (
    ("harmful", "Helpfulness against harm"),
    ("harmful_under_unseen_negative", "The same under negative prompts training never used"),
)


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    Attributes:
        title: the page's heading.
        steering: `Steering.to_json()`.
        results: {"models": {name: {metric: {value, low, high, n}}}} and, where known, "seed",
            "seconds", and "differences" from the base in the form of "models".
        samples: responses by model, as the evaluation keeps them.
        metrics: rows of metrics.jsonl by method.
        settings: everything the run was asked for.
        versions: of Python and the packages.
        aligned: the model to compare with "base".
        notes: sentences for the reader, caveats first.
    """

    title: str
    steering: Mapping[str, Any]
    results: Mapping[str, Any]
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    aligned: str = "neat"
    notes: Sequence[str] = ()

    def figure(self, model: str, metric: str) -> Mapping[str, Any] | None:
        """Return a figure, or None if it is missing."""
        return self.results["models"].get(model, {}).get(metric)

    def change(self, metric: str) -> Mapping[str, Any] | None:
        """Aligned − base, paired, or None where it is not known."""
        return self.results.get("differences", {}).get(self.aligned, {}).get(metric)


def build_report(path: Path, data: ReportData) -> None:
    """Write the page; whole or not at all.

    The same data gives the same bytes: nothing here looks at the clock.
    """
    atomic_write_text(path, template("template.html.j2").render(_context(data)))


def _context(data: ReportData) -> dict[str, Any]:
    models = data.results["models"]
    metrics = _metrics(models)
    colours = _colours(list(models), data.aligned)
    found = pairs(data.samples, data.aligned)
    return {
        "data": replace(data, steering=_in_words(data.steering)),
        "names": list(models),
        "colours": colours,
        "summary": [_headline(data, m) for m in told(metrics, "summary")[:3]],
        "headlines": _by_part([_headline(data, m) for m in told(metrics, "report")]),
        "table": _by_part([_row(models, m) for m in metrics]),
        # The charts escape every name themselves.
        "scatters": [Markup(chart) for chart in _scatters(models, colours)],
        "curves": [Markup(chart) for chart in run_charts(data.metrics.get(data.aligned, ()))],
        "compared": [Markup(chart) for chart in compared_charts(data.metrics, colours)],
        "failures": failures(found),
        "pairs": spread(found, SHOWN_PAIRS),
        "pair_count": len(found),
        "conditions": CONDITIONS,
        "glossary": [entry(m) for m in metrics],
        "settings": list(_flattened(data.settings)),
        "duration": _duration(data.results.get("seconds")),
    }


def _in_words(steering: Mapping[str, Any]) -> dict[str, Any]:
    """Write the phrasings of other channels than the prompt as texts."""
    given = "the report's steering"
    sides = {
        side: [Phrasing.from_mapping(e, given) if isinstance(e, Mapping) else e for e in entries]
        for side, entries in steering.items()
        if side in SIDES
    }
    return {**steering, **{side: list(map(str, entries)) for side, entries in sides.items()}}


def _metrics(models: Mapping[str, Any]) -> list[str]:
    return in_order({metric for figures in models.values() for metric in figures})


def told(metrics: Sequence[str], place: Shown) -> list[str]:
    """Keep the metrics that are shown in a place, in the order of a report."""
    return [metric for metric in metrics if place in entry(metric).shown]


def _colours(names: Sequence[str], aligned: str) -> dict[str, str]:
    """Assign colours: grey to the base, the first one to the aligned model, on all charts."""
    others = [name for name in names if name not in (BASE, aligned)]
    return {
        BASE: "base",
        aligned: "k0",
        **{name: f"k{1 + i % (COLOURS - 1)}" for i, name in enumerate(others)},
    }


def _by_part(rows: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows under the part that their figure belongs to, empty parts left out."""
    parts = [(part, [row for row in rows if row["entry"].part == part]) for part in PARTS]
    return [(part, own) for part, own in parts if own]


def _headline(data: ReportData, metric: str) -> dict[str, Any]:
    before, after = data.figure(BASE, metric), data.figure(data.aligned, metric)
    described = entry(metric)
    chart = ""
    if before and after:
        rows = [("base", _mark(before)), ("k0", _mark(after))]
        told = f"{shown(metric, before['value'])} before, {shown(metric, after['value'])} after"
        chart = strip(rows, described.unit == "share", told)
    return {
        "entry": described,
        "before": _cell(metric, before),
        "after": _cell(metric, after),
        "change": _change(metric, data.change(metric), before, after),
        "verdict": _verdict(described, data.change(metric), before, after),
        "chart": Markup(chart),  # numbers only, and escaped there
    }


def _change(metric: str, change: Any, before: Any, after: Any) -> str:
    """Write the paired change with its interval; else the relative change; else nothing."""
    if change:
        unit = " points" if entry(metric).unit == "share" else ""
        low, high = (shown_change(metric, change[end]) for end in ("low", "high"))
        return f"{shown_change(metric, change['value'])}{unit} ({low} to {high})"
    if before and after and before["value"] > 0:
        percent = 100 * (after["value"] / before["value"] - 1)
        return f"{'+' if percent > 0 else '−'}{abs(percent):.1f} % of before"
    return ""


def _verdict(described: Metric, change: Any, before: Any, after: Any) -> str:
    """Better or worse where the change's interval leaves out 0 (unpaired: no overlap)."""
    if not before or not after or described.better == "neither":
        return ""
    if change:
        unclear = change["low"] <= ROUNDING and change["high"] >= -ROUNDING
    else:
        unclear = before["low"] <= after["high"] and after["low"] <= before["high"]
    if unclear:
        return "same"
    risen = after["value"] > before["value"]
    return "better" if risen == (described.better == "higher") else "worse"


def _row(models: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """One row of the table of methods: a cell for each model, the best ones marked."""
    figures = [own.get(metric) for own in models.values()]
    counts = sorted({figure["n"] for figure in figures if figure})
    best = _best(entry(metric), [figure for figure in figures if figure])
    return {
        "entry": entry(metric),
        "n": "–".join(str(n) for n in dict.fromkeys((counts[0], counts[-1]))),
        "cells": [
            {**_cell(metric, figure), "best": bool(best and figure and _overlap(figure, best))}
            for figure in figures
        ],
    }


def _best(described: Metric, figures: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    if described.better == "neither" or len(figures) < 2 or described.title == "KL to the base":
        return None
    pick = min if described.better == "lower" else max
    return pick(figures, key=lambda figure: figure["value"])


def _overlap(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    return one["low"] <= two["high"] and two["low"] <= one["high"]


def _cell(metric: str, figure: Mapping[str, Any] | None) -> dict[str, Any]:
    """Write a figure as text; a missing one is "–", never 0."""
    if figure is None:
        return {"value": "–", "interval": "", "n": ""}
    low, high = shown(metric, figure["low"]), shown(metric, figure["high"])
    has_spread = figure["n"] > 1 and figure["low"] < figure["high"]
    return {
        "value": shown(metric, figure["value"]),
        "interval": f"{low.removesuffix(' %')} to {high}" if has_spread else "",
        "n": f"{figure['n']:,}",
    }


def _scatters(models: Mapping[str, Any], colours: Mapping[str, str]) -> Iterator[str]:
    for x, title in SCATTERS:
        points = {
            name: (_mark(figures[x]), _mark(figures["helpful"]))
            for name, figures in models.items()
            if x in figures and "helpful" in figures
        }
        chart = scatter_chart(points, f"{entry(x).title} →", "Helpful", title, colours)
        if chart:
            yield chart


def _mark(figure: Mapping[str, Any]) -> Mark:
    return Mark(figure["value"], figure["low"], figure["high"])


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
