"""From the results of cells to means, intervals and paired differences.

See `over_seeds` for the intervals; the same seeds and queries are resampled for every method,
so that differences are paired.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from neat_align.study.cell import Cell
from neat_align.study.grid import Grid, Variant
from neat_align.study.methods import UNTRAINED, Method, load_methods
from neat_align.study.over_seeds import (
    Replicates,
    SeedResult,
    figure,
    interval,
    replicates_of,
    values_of,
)
from neat_align.study.store import Store

OURS = "neat"


def chosen_setting(grid: Grid, store: Store, method: Method) -> dict[str, Any] | None:
    """Choose the setting that did best on development queries; None while one is running.

    A method of which every setting failed keeps its first: its test cells will tell why.
    """
    if method.tuned_as:
        return chosen_setting(grid, store, load_methods()[method.tuned_as])
    tried = [] if method.name in UNTRAINED else grid.tuning_cells(method)
    if not tried:
        return grid.first_setting(method)
    if any(store.record(cell.name) is None for cell in tried):
        return None
    results = [result for cell in tried if (result := store.result(cell))]
    if not results:
        return grid.first_setting(method)
    best = max(results, key=lambda result: selection_score(result["figures"]))
    return dict(best["setting"])


def selection_score(figures: Mapping[str, Mapping[str, float]]) -> float:
    """Score a setting, in the same way for every method; higher is better.

    With a checker: the mean of six shares, each of which should be 1: not harmful, not
    harmful under seen and under unseen negative prompts, helpful, fair, not garbled.
    Without: the held-out reward, or the training reward where there is no other.
    """

    def value(name: str) -> float | None:
        return figures[name]["value"] if name in figures else None

    bad = ("harmful", "harmful_under_seen_negative", "harmful_under_unseen_negative", "garble")
    shares = [1 - x for name in bad if (x := value(name)) is not None]
    shares += [x for name in ("helpful", "fair") if (x := value(name)) is not None]
    if shares:
        return fmean(shares)
    reward = value("reward_heldout")
    reward = value("reward_train") if reward is None else reward
    return float("-inf") if reward is None else reward


def summarise(grid: Grid, store: Store) -> dict[str, Any]:
    """Collect everything that tables, pictures and pages show, as JSON."""
    return {
        "comparison": grid.to_json(),
        "variants": {variant.name: _variant(grid, store, variant) for variant in grid.variants},
        "tuning": {m.name: _tuning(grid, store, m) for m in grid.tuned_methods},
        "seconds": sum(r.get("seconds", 0.0) for r in store.records().values()),
    }


def _tuning(grid: Grid, store: Store, method: Method) -> list[dict[str, Any]]:
    """List every setting that was tried, with its score, the best first."""
    rows = []
    for cell in grid.tuning_cells(method):
        result, record = store.result(cell), store.record(cell.name) or {}
        score = selection_score(result["figures"]) if result else None
        rows.append({"setting": dict(cell.setting), "score": score, "error": record.get("error")})
    return sorted(rows, key=lambda row: -(row["score"] if row["score"] is not None else -1e9))


def _variant(grid: Grid, store: Store, variant: Variant) -> dict[str, Any]:
    table: dict[str, Any] = {}
    replicates: dict[str, dict[str, Replicates]] = {}
    for method in variant.methods:
        setting = chosen_setting(grid, store, method)
        cells = grid.test_cells(variant, method, setting) if setting is not None else []
        results = [result for cell in cells if (result := store.result(cell))]
        errors = sorted({r["error"] for c in cells if (r := store.record(c.name)) and "error" in r})
        row: dict[str, Any] = {
            "setting": setting,
            "seeds": [result["seed"] for result in results],
            "errors": errors,
        }
        if results:
            runs = [_seed_result(store, cell, r) for cell in cells if (r := store.result(cell))]
            replicates[method.name] = replicates_of(runs)
            row["figures"] = {
                name: figure(name, fmean(values_of(runs, name)), values)
                for name, values in replicates[method.name].items()
            }
            row["cost"] = {
                name: fmean(result["cost"][name] for result in results)
                for name in results[0]["cost"]
            }
            row["by_seed"] = {name: values_of(runs, name) for name in replicates[method.name]}
        table[method.name] = row
    _add_differences(table, replicates)
    return table


def _seed_result(store: Store, cell: Cell, result: Mapping[str, Any]) -> SeedResult:
    path = store.cell(cell) / "samples.jsonl"
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return SeedResult(result["seed"], result["figures"], samples)


def _add_differences(
    table: dict[str, Any], replicates: Mapping[str, Mapping[str, Replicates]]
) -> None:
    """Each method − NEAT, Holm-corrected over the methods, and each control − its twin."""
    known = load_methods()
    for name, values in replicates.items():
        row, twin = table[name], known[name].tuned_as
        if name != OURS and _comparable(table, name, OURS):
            row["differences"] = _differences(row, table[OURS], values, replicates[OURS])
        if twin and _comparable(table, name, twin):
            against = _differences(row, table[twin], values, replicates[twin])
            row["control_of"] = {"method": twin, "differences": against}
    for metric in replicates.get(OURS, {}):
        rows = [r["differences"][metric] for r in table.values() if _has(r, metric)]
        for found, p in zip(rows, holm([r["p"] for r in rows]), strict=True):
            found["p_holm"] = p


def _comparable(table: Mapping[str, Any], name: str, other: str) -> bool:
    """Both ran, and on the same seeds."""
    if "figures" not in table.get(name, {}) or "figures" not in table.get(other, {}):
        return False
    return bool(table[name]["seeds"] == table[other]["seeds"])


def _has(row: Mapping[str, Any], metric: str) -> bool:
    return metric in row.get("differences", {})


def _differences(
    row: Mapping[str, Any],
    other: Mapping[str, Any],
    values: Mapping[str, Replicates],
    others: Mapping[str, Replicates],
) -> dict[str, dict[str, float]]:
    """First − second for each figure both have, with its interval and p."""
    found = {}
    for metric in sorted(values.keys() & others.keys()):
        change = values[metric] - others[metric]
        value = row["figures"][metric]["value"] - other["figures"][metric]["value"]
        found[metric] = {**interval(value, change), "p": _p_value(change)}
    return found


def _p_value(change: Replicates) -> float:
    """Two-sided: twice the smaller share of resamples on one side of 0."""
    below, above = (change <= 0).sum() + 1, (change >= 0).sum() + 1
    return float(min(1.0, 2 * min(below, above) / (len(change) + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979), in the order given."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected
