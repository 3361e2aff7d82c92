"""From the results of cells to means, intervals and paired differences.

A figure of a method is the mean over seeds of its value on each seed's test queries. Its
interval is a bootstrap over both: seeds are resampled, and within each the queries, the
same ones for every method, so that differences are paired. Where a figure has no value per
query (KL, perplexity, distinct-2), seeds alone are resampled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from neat_align.evaluation.observations import observations
from neat_align.evaluation.registry import metrics, suite_metrics
from neat_align.study.cell import Cell
from neat_align.study.grid import Grid, Variant
from neat_align.study.methods import UNTRAINED, Method, load_methods
from neat_align.study.store import Store

OURS = "neat"
RESAMPLES = 4000
WITHIN = 200  # resamples of each seed's queries, drawn from for every resample of the seeds
LEVELS = (2.5, 97.5)

Replicates = npt.NDArray[np.float64]


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
            found = [c for c in cells if store.result(c)]
            replicates[method.name] = _replicates(store, found, results)
            row["figures"] = {
                name: _figure(name, fmean(_values(results, name)), values)
                for name, values in replicates[method.name].items()
            }
            row["cost"] = {
                name: fmean(result["cost"][name] for result in results)
                for name in results[0]["cost"]
            }
            row["by_seed"] = {name: _values(results, name) for name in replicates[method.name]}
        table[method.name] = row
    _add_differences(table, replicates)
    return table


def _values(results: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [r["figures"][name]["value"] for r in results]


def _replicates(
    store: Store, cells: Sequence[Cell], results: Sequence[Mapping[str, Any]]
) -> dict[str, Replicates]:
    """[RESAMPLES] values of each figure under resampled seeds and queries.

    The random numbers depend on the seeds alone, so every method that ran on the same
    seeds is resampled alike.
    """
    names = set.intersection(*(set(result["figures"]) for result in results))
    seeds = [result["seed"] for result in results]
    rng = np.random.default_rng([len(seeds), *seeds])
    picked = rng.integers(0, len(seeds), (RESAMPLES, len(seeds)))
    draws = rng.integers(0, WITHIN, (RESAMPLES, len(seeds)))
    within = [_within_seed(store, c, r) for c, r in zip(cells, results, strict=True)]
    found = {}
    for name in sorted(names):
        table = np.stack([values[name] for values in within])  # [seeds, WITHIN]
        means = table[picked, draws].mean(axis=1)
        # A bootstrap of n seeds has (n − 1)/n of the variance it should have.
        centre = fmean(_values(results, name))
        found[name] = centre + (means - centre) * _widening(len(seeds))
    return found


def _widening(seeds: int) -> float:
    """Return the factor of the spread over few seeds; 1 seed tells of queries alone."""
    return (seeds / (seeds - 1)) ** 0.5 if seeds > 1 else 1.0


def _within_seed(
    store: Store, cell: Cell, result: Mapping[str, Any]
) -> dict[str, npt.NDArray[np.float64]]:
    """[WITHIN] values of each figure of one cell under resampled queries."""
    path = store.cell(cell) / "samples.jsonl"
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    per_response = observations(samples, suite_metrics())
    found = {}
    for name, figure in result["figures"].items():
        if name in per_response:
            found[name] = _resampled(per_response[name], cell.seed)
        else:
            found[name] = np.full(WITHIN, figure["value"])
    return found


def _resampled(values: Mapping[tuple[str, str, int], float], seed: int) -> Replicates:
    """Means over resampled queries; the same queries are drawn for every method of a seed."""
    queries = sorted({query for _, query, _ in values})
    place = {query: i for i, query in enumerate(queries)}
    sums, counts = np.zeros(len(queries)), np.zeros(len(queries))
    for (_, query, _), value in values.items():
        sums[place[query]] += value
        counts[place[query]] += 1
    rng = np.random.default_rng([seed, len(queries)])
    picks = rng.integers(0, len(queries), (WITHIN, len(queries)))
    return sums[picks].sum(axis=1) / counts[picks].sum(axis=1)


def _figure(name: str, value: float, replicates: Replicates) -> dict[str, float]:
    """Give a figure its interval; that of a share stays between 0 and 1."""
    found = _interval(value, replicates)
    if name in metrics() and metrics()[name].unit == "share":
        found["low"], found["high"] = max(0.0, found["low"]), min(1.0, found["high"])
    return found


def _interval(value: float, replicates: Replicates) -> dict[str, float]:
    low, high = np.percentile(replicates, LEVELS)
    return {"value": value, "low": float(low), "high": float(high)}


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
        found[metric] = {**_interval(value, change), "p": _p_value(change)}
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
