"""What an evaluation found, as a table for a model card or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neat_align.report.glossary import entry, in_order, shown

BASE = "base"


def figure_lines(
    results: Mapping[str, Any], aligned: str, beside: Sequence[str] = (BASE,), only: str = ""
) -> list[str]:
    """Write a Markdown table of a model's figures, and of others' that were evaluated.

    Args:
        results: of evaluation.json.
        beside: the others, in the order of their columns, which come first.
        only: names of the metrics to show, with spaces between; all when "".
    """
    models = results["models"]
    names = [name for name in (*beside, aligned) if name in models]
    wanted = only.split() or _ordered(models)
    metrics = [m for m in wanted if m in models[aligned]]
    return [
        f"| on held-out queries | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
        *(
            f"| {entry(m).title} | {' | '.join(_cell(models[n].get(m), m) for n in names)} |"
            for m in metrics
        ),
        "",
        "95 % intervals in brackets.",
    ]


def _cell(figure: Mapping[str, Any] | None, metric: str) -> str:
    if figure is None:
        return "–"
    value, low, high = (shown(metric, figure[key]) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _ordered(models: Mapping[str, Any]) -> list[str]:
    return in_order({metric for figures in models.values() for metric in figures})
