"""What a comparison looks like: tables in Markdown and on the terminal, and the pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from neat_align.evaluation.registry import metrics
from neat_align.report.comparison import Part, build_comparison
from neat_align.report.glossary import entry, shown, shown_change
from neat_align.storage.atomic import atomic_write_text
from neat_align.study.grid import MAIN
from neat_align.study.methods import RATE, UNTRAINED
from neat_align.study.pareto import pareto_svg
from neat_align.study.summary import OURS

WIDEST = 9
PICTURES = {
    "harm_helpful.svg": ("harmful", "helpful"),
    "unseen_kl.svg": ("kl", "harmful_under_unseen_negative"),
}
OWN_RULE = {"reward_kl.svg": ("kl", "reward_train")}  # where no checker knows a truth
SURE = 0.05
FEWEST_SEEDS = 4  # with fewer, a bootstrap over seeds calls sure what is luck

Row = Mapping[str, Any]
Rows = list[list[str]]


def write(directory: Path, summary: Mapping[str, Any]) -> None:
    """comparison.md, report.html and the pictures beside them."""
    atomic_write_text(directory / "comparison.md", markdown(summary))
    for name, picture in pictures(summary):
        atomic_write_text(directory / name, picture)
    build_comparison(directory / "report.html", about(summary), list(_sections(summary)))


def markdown(summary: Mapping[str, Any]) -> str:
    """Every table of a comparison, the main part first."""
    parts = ["# Comparison", about(summary)]
    for name, table in summary["variants"].items():
        parts += [f"## {name}", results_table(table)]
        if name == MAIN:
            parts += [f"![{y} against {x}]({file})" for file, (x, y) in _drawn(table)]
            parts += ["### Differences to NEAT", differences_table(table)]
            parts += ["### Cost of one alignment", cost_table(table)]
        parts += list(failures(table))
    return "\n\n".join([*parts, "## Settings tried", tuning_table(summary)]) + "\n"


def _sections(summary: Mapping[str, Any]) -> Iterator[Part]:
    """Write the same tables for the page."""
    drawn = [picture for _, picture in pictures(summary)]
    for name, table in summary["variants"].items():
        pictured = drawn if name == MAIN else []
        yield Part(name, _results(table), list(failures(table)), pictured)
        if name == MAIN:
            yield Part("Differences to NEAT", _differences(table))
            yield Part("Cost of one alignment", _costs(table))
    yield Part("Settings tried", _tuning(summary))


def about(summary: Mapping[str, Any]) -> str:
    """How the figures came about, in a paragraph."""
    grid = summary["comparison"]
    seeds = ", ".join(map(str, grid["seeds"][MAIN]))
    tuned = (
        f"{grid['tune']} settings a method were tried on development queries of a seed of their "
        "own, the learning rate always among what is tried; the best one ran on the test "
        "queries of every seed."
        if grid["tune"] > 1
        else "Nothing was tuned: every method ran in its first setting."
    )
    return (
        f"Seeds {seeds}; where the recipe trains its base and reward models, each seed has its "
        f"own. {tuned} A figure is the mean over seeds; in brackets its 95 % interval, a "
        "bootstrap over seeds and queries. ▲ marks what is better than NEAT, ▼ what is worse, "
        f"where the paired difference has p < {SURE} after Holm's correction over the methods and "
        f"there are {FEWEST_SEEDS} seeds or more."
    )


def results_table(table: Mapping[str, Row]) -> str:
    """Lay out a row for each method, a column for each figure that any of them has."""
    return _grid(_results(table))


def _results(table: Mapping[str, Row]) -> Rows:
    metrics = compared(r.get("figures", {}) for r in table.values())
    head = ["method", *(entry(m).title for m in metrics)]
    rows = [
        [f"**{name}**" if name == OURS else name, *(_cell(row, m) for m in metrics)]
        for name, row in table.items()
    ]
    return [head, *rows]


def differences_table(table: Mapping[str, Row]) -> str:
    """Lay out method − NEAT with interval and corrected p."""
    return _grid(_differences(table))


def _differences(table: Mapping[str, Row]) -> Rows:
    rows = {name: row["differences"] for name, row in table.items() if "differences" in row}
    metrics = compared(rows.values())
    head = ["method − neat", *(entry(m).title for m in metrics)]
    body = [[name, *(_change(row.get(m), m) for m in metrics)] for name, row in rows.items()]
    return [head, *body]


def cost_table(table: Mapping[str, Row]) -> str:
    """Responses and tokens sampled, seconds and memory of one alignment, means over seeds."""
    return _grid(_costs(table))


def _costs(table: Mapping[str, Row]) -> Rows:
    head = ["method", "responses", "sampled tokens", "seconds", "peak memory, MB"]
    rows = [
        [
            name,
            f"{row['cost']['responses']:,.0f}",
            f"{row['cost']['tokens']:,.0f}",
            f"{row['cost']['train_seconds']:.0f}",
            f"{row['cost']['peak_memory_bytes'] / 1e6:,.0f}",
        ]
        for name, row in table.items()
        if "cost" in row and name not in UNTRAINED
    ]
    return [head, *rows]


def tuning_table(summary: Mapping[str, Any]) -> str:
    """Every setting that was tried and its score on the development queries."""
    rows = _tuning(summary)
    return _grid(rows) if len(rows) > 1 else "Nothing was tuned."


def _tuning(summary: Mapping[str, Any]) -> Rows:
    head = ["method", "learning rate", "own weight", "score", ""]
    rows = []
    for name, tried in summary["tuning"].items():
        for place, row in enumerate(tried):
            own = {k: v for k, v in row["setting"].items() if k != RATE}
            told = ", ".join(f"{k.partition('.')[2]} {v:g}" for k, v in own.items()) or "–"
            score = row["error"] if row["score"] is None else f"{row['score']:.4f}"
            chosen = "chosen" if place == 0 and row["score"] is not None else ""
            rows.append([name, f"{row['setting'][RATE]:.1e}", told, score, chosen])
    return [head, *rows]


def failures(table: Mapping[str, Row]) -> Iterator[str]:
    """Write a line for each method of which a cell failed."""
    for name, row in table.items():
        for error in row["errors"]:
            yield f"**{name}**: a cell failed: {error}"


def pictures(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """File name and SVG of each picture of the main part."""
    table = summary["variants"][MAIN]
    for file, (x, y) in _drawn(table):
        yield file, pareto_svg({name: row["figures"] for name, row in _ran(table)}, x, y)


def terminal_table(summary: Mapping[str, Any]) -> Table:
    """Lay out the main part, values only."""
    table = summary["variants"][MAIN]
    present = compared(r.get("figures", {}) for r in table.values())
    asked = [m for m in present if entry(m).part != "price"][:WIDEST]
    price = [m for m in present if entry(m).part == "price"]
    metrics = asked + price[: max(1, WIDEST - len(asked))]
    shown_table = Table("method", *(entry(m).title for m in metrics))
    for name, row in table.items():
        figures = row.get("figures")
        cells = [shown(m, figures[m]["value"]) for m in metrics] if figures else ["failed"]
        shown_table.add_row(name, *cells)
    return shown_table


def compared(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the metrics of a comparison's tables that any of the rows has."""
    present = {metric for row in rows for metric in row}
    return [m for m, e in metrics().items() if m in present and "comparison" in e.shown]


def _ran(table: Mapping[str, Row]) -> list[tuple[str, Row]]:
    return [(name, row) for name, row in table.items() if "figures" in row]


def _drawn(table: Mapping[str, Row]) -> list[tuple[str, tuple[str, str]]]:
    """Draw the pictures whose figures every method has."""
    found = [
        [(file, axes) for file, axes in some.items() if _ran(table) and _all_have(table, axes)]
        for some in (PICTURES, OWN_RULE)
    ]
    return found[0] or found[1]


def _all_have(table: Mapping[str, Row], metrics: Sequence[str]) -> bool:
    return all(metric in row["figures"] for _, row in _ran(table) for metric in metrics)


def _cell(row: Row, metric: str) -> str:
    if "figures" not in row:
        return "failed" if row["errors"] else "not run"
    figure = row["figures"].get(metric)
    if figure is None:
        return "–"
    low, high = _plain(metric, figure["low"]), _plain(metric, figure["high"])
    return f"{_plain(metric, figure['value'])}{_mark(row, metric)} [{low}, {high}]"


def _mark(row: Row, metric: str) -> str:
    """▲ where the method is surely better than NEAT in this figure, ▼ where worse."""
    change = row.get("differences", {}).get(metric)
    better = entry(metric).better
    if change is None or better == "neither" or change["p_holm"] >= SURE or not change["value"]:
        return ""
    if len(row["seeds"]) < FEWEST_SEEDS:
        return ""
    return " ▲" if (change["value"] > 0) == (better == "higher") else " ▼"


def _change(change: Mapping[str, float] | None, metric: str) -> str:
    if change is None:
        return "–"
    low, high = shown_change(metric, change["low"]), shown_change(metric, change["high"])
    return f"{shown_change(metric, change['value'])} [{low}, {high}], p {change['p_holm']:.2g}"


def _plain(metric: str, value: float) -> str:
    return shown(metric, value).removesuffix(" %")


def _grid(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table, the first being its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
