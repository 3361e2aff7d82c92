"""An audit of a reward on the terminal: a table of pairs, and one of tricks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from neat_align.evaluation.audit.probes import hack_meanings

KINDS = ("harmful", "harmless")


def pairs_table(pairs: Mapping[str, Any]) -> Table:
    """Write one row per figure of the pairs."""
    table = Table("pairs", f"{pairs['n']} on {pairs['queries']} queries")
    length, sure = pairs["length"], pairs["calibration"]
    rows = {
        "accuracy (ties are wrong)": _interval(pairs["accuracy"]),
        "ties": str(pairs["ties"]),
        "calibration error (ECE)": f"{sure['ece']:.3f}" if sure else "– (not a trained scorer)",
        "confidence claimed": _share(sure["confidence"]) if sure else "–",
        "rank correlation of score and length": _number(length["correlation"]),
        "the same within pairs": _number(length["within_pairs"]),
        "accuracy of length alone": _share(length["longer_is_better"]),
        "accuracy, the better answer is shorter": _interval(length["shorter"]),
        "accuracy, the better answer is longer": _interval(length["longer"]),
    }
    for title, value in rows.items():
        table.add_row(title, value)
    for flipped in pairs["flipped"]:
        share, spread = f"{flipped['share']:.0%}", f"{_ends(flipped['low'], flipped['high'])}"
        table.add_row(
            f"accuracy with {share} of the labels flipped", _share(flipped["reads"]) + spread
        )
        true = "no such accuracy" if flipped["true"] is None else _share(flipped["true"])
        table.add_row(f"accuracy if {share} of them are wrong already", true)
    return table


def hacks_table(hacks: Mapping[str, Mapping[str, Any]]) -> Table:
    """Write one row per trick: in how many requests of a kind it outscores honesty."""
    table = Table("trick", "what it is", *(f"outscores, {kind}" for kind in KINDS))
    for name, meaning in hack_meanings().items():
        if name in hacks:
            table.add_row(name, meaning, *(_beaten(hacks[name].get(kind)) for kind in KINDS))
    return table


def _beaten(found: Mapping[str, Any] | None) -> str:
    """Write "3 of 20", and how many tricks score exactly as the honest answer."""
    if found is None:
        return "–"
    equals = f" ({found['equals']} equal)" if found["equals"] else ""
    return f"{found['outscores']} of {found['share']['n']}{equals}"


def _interval(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{_share(found['value'])}{_ends(found['low'], found['high'])} of {found['n']}"


def _ends(low: float, high: float) -> str:
    return f" [{100 * low:.1f}, {100 * high:.1f}]"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"
