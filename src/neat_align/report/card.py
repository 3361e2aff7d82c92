"""What an evaluation found, as a table for a model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neat_align.report.glossary import entry, in_order, shown

BASE = "base"


def figure_lines(results: Mapping[str, Any], aligned: str) -> list[str]:
    """Write a Markdown table of a model's figures, and of its base's if that was evaluated."""
    models = results["models"]
    names = [name for name in (BASE, aligned) if name in models]
    metrics = [m for m in _ordered(models) if m in models[aligned]]
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
