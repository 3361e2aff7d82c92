"""How figures are worded: each metric's entry in the registry, and values as text."""

from __future__ import annotations

import math
from collections.abc import Iterable

from neat_align.evaluation.metric import PARTS, Metric
from neat_align.evaluation.registry import metrics


def entry(metric: str) -> Metric:
    """Return a metric as it was declared; one unknown here is shown under its own name."""
    unknown = Metric(metric, metric, "A figure this report has no sentence for.", shown=("report",))
    return metrics().get(metric, unknown)


def in_order(present: Iterable[str]) -> list[str]:
    """Sort metrics: by part and as they are declared, then unknown ones."""
    present = set(present)
    known = [m for part in PARTS for m, found in metrics().items() if found.part == part]
    return [m for m in known if m in present] + sorted(present - set(known))


def shown(metric: str, value: float | None) -> str:
    """Write a value as text: a percentage for shares; "–" for one that is missing."""
    if value is None or not math.isfinite(value):
        return "–"
    if entry(metric).unit == "share":
        return _signed(f"{100 * value:.1f} %")
    return _signed(number(value))


def shown_change(metric: str, value: float) -> str:
    """Write a change as text, its sign always written; percentage points without a unit."""
    text = f"{100 * value:.1f}" if entry(metric).unit == "share" else number(value)
    plus = "+" if float(text.replace(",", "")) > 0 else ""
    return plus + _signed(text)


def number(value: float) -> str:
    """Write three to four significant digits, without an exponent where a reader can do without."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def _signed(text: str) -> str:
    """Use a true minus sign, and none before zero."""
    if not text.startswith("-"):
        return text
    is_zero = not any(c in "123456789" for c in text)
    return text[1:] if is_zero else "−" + text[1:]


def evaluation_tables() -> str:
    """Write the part of docs/metrics.md on evaluations: every metric, by what it belongs to."""
    rows = dict.fromkeys(PARTS, "")
    for name, found in metrics().items():
        better = "" if found.better == "neither" else found.better
        rows[found.part] += f"| `{name}` | {better} | {found.meaning} |\n"
    tables = "\n".join(
        f"### {part.capitalize()}\n\n| figure | better | what it is |\n|---|---|---|\n{own}"
        for part, own in rows.items()
    )
    return f"{HEAD}\n{tables}"


HEAD = """## In an evaluation

Figures of `evaluation.json`, as they are declared in `evaluation/metrics/` and `evaluation/tasks/`.
Each has a 95 % interval and its n; those of benchmarks are there when their file is given.
"""
