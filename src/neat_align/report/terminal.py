"""An evaluation on the terminal: a table, and its figure in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from neat_align.evaluation.results import PROMPT
from neat_align.report.build import BASE, told
from neat_align.report.glossary import entry, in_order, shown, shown_change

Results = Mapping[str, Any]


def aligned_model(results: Results) -> str:
    """Choose the model that a page is about: the first but the base, prompted or not."""
    names = sorted(results["models"], key=lambda name: (name == BASE, name == PROMPT))
    return names[0] if names else ""


def evaluation_table(results: Results) -> Table:
    """Write one row per figure and one column per model, with 95 % intervals and the change."""
    models, aligned = results["models"], aligned_model(results)
    changes = results.get("differences", {}).get(aligned, {})
    change_of = "change" if len(models) <= 2 else f"change: {aligned}"
    table = Table("figure", *models, *([change_of] if changes else []))
    for metric in told(_present(models), "report"):
        cells = [_cell(metric, figures.get(metric)) for figures in models.values()]
        change = [_change(metric, changes.get(metric))] if changes else []
        table.add_row(entry(metric).title, *cells, *change)
    return table


def headline(results: Results) -> str:
    """Write the first figure that both have, e.g. "Harmful: 91.1 % → 0.2 %"; "" for none."""
    models, aligned = results["models"], aligned_model(results)
    for metric in told(_present(models), "summary"):
        before, after = (models.get(name, {}).get(metric) for name in (BASE, aligned))
        if before and after:
            values = " → ".join(shown(metric, figure["value"]) for figure in (before, after))
            return f"{entry(metric).title}: {values}{_prompted(results, metric)}"
    return ""


def _prompted(results: Results, metric: str) -> str:
    """Write what the base scores with the rule in its prompt, beside another's figure."""
    figure = results["models"].get(PROMPT, {}).get(metric)
    apart = figure and aligned_model(results) != PROMPT
    return f" (prompt: {shown(metric, figure['value'])})" if apart else ""


def _present(models: Results) -> list[str]:
    return in_order({metric for figures in models.values() for metric in figures})


def _cell(metric: str, figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    low, high = (shown(metric, figure[end]).removesuffix(" %") for end in ("low", "high"))
    spread = f" [{low}, {high}]" if figure["n"] > 1 and figure["low"] < figure["high"] else ""
    return f"{shown(metric, figure['value'])}{spread}"


def _change(metric: str, change: Mapping[str, Any] | None) -> str:
    if change is None:
        return ""
    low, high = shown_change(metric, change["low"]), shown_change(metric, change["high"])
    return f"{shown_change(metric, change['value'])} [{low}, {high}]"
