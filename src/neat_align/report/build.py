"""The report: one HTML file that needs no network and trusts no model.

Every text a model wrote is escaped by jinja2's autoescape; control and bidirectional
characters, which could hide or reorder text, are shown as their code points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from neat_align.report.charts import line_chart, scatter_chart
from neat_align.report.glossary import GLOSSARY, Entry, entry, shown
from neat_align.runs import atomic_write_text

SHOWN_PAIRS = 40
SHOWN_FAILURES = 40
HEADLINES = (
    "harmful", "harmful_under_seen_negative", "harmful_under_unseen_negative", "helpful",
    "wrong", "fair", "reward_heldout", "reward_train", "kl", "distinct_2",
)  # fmt: skip
FAILURES = {
    "harmful": ("harmful", "garble", "wrong"),
    "benign": ("refusal", "wrong", "unhelpful", "harmful", "garble"),
    "borderline": ("refusal", "wrong", "unhelpful", "harmful", "garble"),
    "group": ("harmful", "wrong", "refusal", "unhelpful", "garble"),
}
CURVES = (
    ("Reward by source", ("reward/positive", "reward/plain", "reward/negative", "reward/reference")),
    ("Negative responses that are still bad", ("negatives/still_bad",)),
    ("Loss terms", ("loss/rank", "loss/lm", "loss/penalty", "loss/dpo")),
    ("Log-probability, nats a token", ("logps/chosen", "logps/rejected", "logps/negative", "logps/other")),
    ("Log-ratio to the reference, nats a response", ("kl",)),
    ("Distinct-2 of the sampled responses", ("distinct_2",)),
    ("Tokens a second", ("tokens_per_second/sampling", "tokens_per_second/scoring", "tokens_per_second/training")),
)  # fmt: skip


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    Attributes:
        title: the page's heading.
        steering: `Steering.to_json()`.
        results: {"models": {name: {metric: {value, low, high, n}}}, "seed", "seconds"}.
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


def build_report(path: Path, data: ReportData) -> None:
    """Write the page; whole or not at all."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neat_align.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    template = environment.get_template("template.html.j2")
    atomic_write_text(path, template.render(_context(data)))


def visible(text: object) -> str:
    """Text with control, bidirectional and other invisible characters spelt out."""
    return "".join(
        f"⟨U+{ord(c):04X}⟩"
        if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"
        else c
        for c in str(text)
    )


def _context(data: ReportData) -> dict[str, Any]:
    models = data.results["models"]
    names = list(models)
    metrics = [m for m in GLOSSARY if any(m in models[name] for name in names)]
    metrics += sorted({m for name in names for m in models[name]} - set(metrics))
    pairs = _pairs(data)
    failures = [pair for pair in pairs if pair["failed"]]
    return {
        "data": data,
        "names": names,
        "headlines": [_headline(m, models, data.aligned) for m in HEADLINES if m in metrics],
        "table": [(entry(m), [_cell(m, models[name].get(m)) for name in names]) for m in metrics],
        "scatters": [Markup(chart) for chart in _scatters(models) if chart],  # escaped in charts
        "curves": [Markup(chart) for chart in _curves(data) if chart],
        "failures": failures[:SHOWN_FAILURES],
        "failure_count": len(failures),
        "pairs": _spread(pairs, SHOWN_PAIRS),
        "pair_count": len(pairs),
        "settings": list(_flattened(data.settings)),
    }


def _headline(metric: str, models: Mapping[str, Any], aligned: str) -> dict[str, Any]:
    before = models.get("base", {}).get(metric)
    after = models.get(aligned, {}).get(metric)
    return {
        "entry": entry(metric),
        "before": _cell(metric, before),
        "after": _cell(metric, after),
        "verdict": _verdict(entry(metric), before, after),
    }


def _verdict(described: Entry, before: Any, after: Any) -> str:
    """Better or worse only where the intervals do not overlap."""
    if not before or not after or described.better == "neither":
        return ""
    overlap = before["low"] <= after["high"] and after["low"] <= before["high"]
    if overlap:
        return "same"
    risen = after["value"] > before["value"]
    return "better" if risen == (described.better == "higher") else "worse"


def _cell(metric: str, figure: Mapping[str, Any] | None) -> dict[str, str]:
    if figure is None:
        return {"value": "–", "interval": "", "n": ""}
    return {
        "value": shown(metric, figure["value"]),
        "interval": f"{shown(metric, figure['low'])} to {shown(metric, figure['high'])}",
        "n": f"n = {figure['n']}",
    }


def _scatters(models: Mapping[str, Any]) -> Iterable[str]:
    for x, y, title in (
        ("harmful", "helpful", "Helpfulness against harm (top left is best)"),
        (
            "harmful_under_unseen_negative",
            "helpful",
            "Helpfulness against harm under unseen negative prompts",
        ),
    ):
        points = {
            name: (figures[x]["value"], figures[y]["value"])
            for name, figures in models.items()
            if x in figures and y in figures
        }
        yield scatter_chart(points, entry(x).title, entry(y).title, title)


def _curves(data: ReportData) -> Iterable[str]:
    rows = data.metrics.get(data.aligned, ())
    for title, names in CURVES:
        series = {
            name.rpartition("/")[2]: [(row["step"], row[name]) for row in rows if name in row]
            for name in names
        }
        yield line_chart(series, "optimiser step", title)


def _pairs(data: ReportData) -> list[dict[str, Any]]:
    """The aligned model's responses, each beside the base's to the same query."""

    def key(sample: Mapping[str, Any]) -> tuple[Any, ...]:
        return sample["query_id"], sample["condition"], sample["steering"], sample["seed"]

    base = {key(s): s for s in data.samples.get("base", ())}
    return [
        {"base": base.get(key(s)), "aligned": s, "failed": _failed(s)}
        for s in data.samples.get(data.aligned, ())
    ]


def _failed(sample: Mapping[str, Any]) -> bool:
    return sample.get("verdict") in FAILURES.get(str(sample.get("kind")), ())


def _spread(pairs: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """`count` pairs spread evenly over the conditions and queries, not chosen."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[i * len(pairs) // count] for i in range(count)]


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
