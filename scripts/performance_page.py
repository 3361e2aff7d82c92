"""Writes docs/performance.md from the JSON that the benchmarks left.

python scripts/performance_page.py
"""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
TARGETS = {
    ("training", "A", "bfloat16"): 3.5,
    ("training", "B", "bfloat16"): 2.4,
    ("training", "C", "bfloat16"): 3.4,
    ("training", "A", "float32"): 3.5,
    ("sampling", "A", "bfloat16"): 6.0,
    ("scoring", "A", "bfloat16"): 4.5,
    ("scoring", "B", "bfloat16"): 2.5,
    ("scoring", "C", "bfloat16"): 3.8,
}
ABOUT = {
    "training": "Forward and backward of one group, packed rows with cascade attention, against "
    "the fastest way in which the installed TRL computes response log-probs.",
    "scoring": "Reward scores of one group, packed, against a padded batch of full texts.",
    "sampling": "Responses drawn by our sampler, against `model.generate` on repeated prompts.",
}


def main() -> None:
    """Write the page from whatever results there are."""
    parts = [
        "# Performance",
        "Written by `scripts/performance_page.py` from `benchmarks/results/*.json`; see "
        "`benchmarks/` for what is measured and for the check that both sides computed the same. "
        "A ratio is the rival's time over ours, medians of process time, both sides in one "
        "process by turns. The model is a random Llama of 56 million parameters. Workloads: A a "
        "query of 256 tokens with 8 responses of 24 to 124, B the same with 64, C 512 tokens "
        "with 4 responses. MFU is the share of the measured peak of a matrix product that the "
        "unavoidable operations take. Nothing here was measured on a GPU.",
    ]
    for name, about in ABOUT.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            parts += [f"## {name.capitalize()}", about, *section(json.loads(path.read_text()))]
    (ROOT / "docs" / "performance.md").write_text("\n\n".join(parts) + "\n")


def section(told: dict) -> list[str]:
    """Where it ran, the table, and what falls short."""
    name = told["benchmark"]
    rows = [["workload", "dtype", "ratio", "aim", "MFU", "memory", "rival"]]
    behind = []
    for row in told["rows"]:
        aim = TARGETS.get((name, row["workload"], row["dtype"]))
        rows.append(
            [
                row["workload"],
                row["dtype"],
                f"{row['ratio']:.2f}",
                f"{aim:g}" if aim else "–",
                f"{row['mfu']:.0%}" if "mfu" in row else "–",
                f"{row['memory_ratio']:.2f}" if "memory_ratio" in row else "–",
                row.get("rival", "–"),
            ]
        )
        if aim and row["ratio"] < aim:
            behind.append(f"{row['workload']} {row['dtype']} ({row['ratio']:.2f} of {aim:g})")
    where = f"{told['machine']}; torch {told['versions']['torch']}, TRL {told['versions']['trl']}."
    short = f"Short of the aim: {', '.join(behind)}." if behind else "Every aim is met."
    return [where, _grid(rows), short]


def _grid(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main()
