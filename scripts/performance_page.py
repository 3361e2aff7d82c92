"""Write docs/performance.md from the JSON that the benchmarks left.

python scripts/performance_page.py [--check]
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"
HEAD = ROOT / "scripts" / "performance_head.md"
TARGETS = {
    ("training", "A", "bfloat16"): 3.5,
    ("training", "B", "bfloat16"): 2.4,
    ("training", "C", "bfloat16"): 3.4,
    ("training", "A", "float32"): 3.5,
    ("sampling", "A", "bfloat16"): 6.0,
    ("scoring", "A", "bfloat16"): 4.5,
    ("scoring", "B", "bfloat16"): 2.5,
    ("scoring", "C", "bfloat16"): 3.8,
    ("online_step", "A", "bfloat16"): 4.0,
    ("online_step", "B", "bfloat16"): 4.0,
    ("online_step", "C", "bfloat16"): 4.0,
}
MEMORY_TARGET = 1 / 3
ABOUT = {
    "training": "Forward and backward of one group, packed, against the fastest way in which the "
    "installed TRL computes response log-probs. Memory is the peak above model and gradients, "
    "as a share of the rival's.",
    "scoring": "Reward scores of one group, packed, against a padded batch of full texts, which "
    "is how TRL's online trainers score.",
    "sampling": "64 responses to 16 prompts of about 256 tokens (8 queries, 2 steering prompts), "
    "35 tokens long on average and 128 at most, against `model.generate` on repeated prompts, "
    "which is what TRL's trainers call without vLLM. The ratio is of tokens per second.",
    "online_step": "One whole step of `NEATTrainer` (64 responses sampled, scored, one optimiser "
    "step) against one of TRL's `GRPOTrainer`: seconds per response token. `trl_grpo` is the "
    "trainer as installed, `trl_grpo_fast_logps` the same with the log-probs of TRL's A2PO "
    "trainer, which is faster on a CPU.",
    "dpo_step": "Whole DPO steps on the same eight pairs by `NEATTrainer` and by TRL's "
    "`DPOTrainer` as installed, whose fused LM head is slow on a CPU. In float32 both end with "
    "the same weights.",
    "scaling": "How the cost of a training step grows with the responses of a group and with "
    "the query (responses of 64 tokens), and the data path: from rows on disk to token ids, "
    "with scripted answers. Its rows are mapped from disk, and what was read of them counts as "
    "memory here.",
    "dataset": "The expanded data set in parts, with scripted answers and a reward function: four "
    "responses of 40 words a query. Memory is the most above the start, without pages of files; "
    "eight bytes of it are kept for each query seen. Disk is what the step leaves.",
    "demo": "`neat demo` with the fast paths, and without them: a row for each response, each "
    "with a copy of its prompt's cache. Wall time on two threads, one run each.",
}


def main() -> None:
    """Write the page, or, with --check, exit with 1 where it is not what it would be."""
    parts = [HEAD.read_text().strip()]
    for name, about in ABOUT.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            title = name.replace("_", " ").capitalize().replace("Dpo", "DPO")
            parts += [f"## {title}", about, *section(json.loads(path.read_text()))]
    text = "\n\n".join(parts) + "\n"
    if "--check" in sys.argv:
        sys.exit(int(not PAGE.exists() or PAGE.read_text() != text))
    PAGE.write_text(text)


def section(told: dict) -> list[str]:
    """Where it ran, the table, and what falls short."""
    versions = told["versions"]
    where = (
        f"`python benchmarks/{told['benchmark']}.py` on {told['machine']}; "
        f"torch {versions['torch']}, transformers {versions['transformers']}, "
        f"TRL {versions['trl']}."
    )
    return [where, *tables(told), *behind(told)]


def tables(told: dict) -> list[str]:
    """Ratios; for the data path, a table of its own."""
    if told["benchmark"] == "dataset":
        return [dataset_table(told["rows"])]
    data = [row for row in told["rows"] if row["workload"].startswith("data ")]
    rest = [row for row in told["rows"] if row not in data]
    rows = [["workload", "dtype", "ratio", "aim", "ours", "rival", "floor", "MFU", "memory"]]
    rows += [ratio_row(told["benchmark"], row) for row in rest]
    used = [i for i in range(len(rows[0])) if any(row[i] != "–" for row in rows[1:])]
    found = [grid([[row[i] for i in used] for row in rows])]
    if data:
        head = ["queries", "seconds", "ms per query", "memory above the start"]
        sizes = [(int(row["workload"].split()[1]), row) for row in data]
        found.append(
            grid(
                [
                    head,
                    *(
                        [
                            f"{n:,}",
                            f"{row['seconds']:.2f}",
                            f"{1e3 * row['seconds'] / n:.2f}",
                            f"{row['memory_bytes'] / 2**20:.1f} MiB",
                        ]
                        for n, row in sizes
                    ),
                ]
            )
        )
    return found


def dataset_table(rows: list[dict]) -> str:
    """Write a line for each step and size."""
    head = ["step", "queries", "seconds", "ms per query", "memory above the start"]
    head.append("disk per query")
    lines = [
        [
            row["step"],
            f"{row['queries']:,}",
            f"{row['seconds']:.1f}",
            f"{1e3 * row['seconds'] / row['queries']:.2f}",
            f"{row['memory_bytes'] / 2**20:.0f} MiB",
            f"{row['disk_bytes'] / row['queries']:,.0f} bytes",
        ]
        for row in rows
    ]
    return grid([head, *lines])


def ratio_row(name: str, row: dict) -> list[str]:
    """One line of the table of ratios."""
    aim = TARGETS.get((name, row["workload"], row["dtype"]))
    units = row.get("seconds") or row.get("seconds_per_token") or row["tokens_per_second"]
    rival = row.get("rival") or next(k for k in units if k != "neat")
    unit = "tokens/s" if "tokens_per_second" in row else "ms"
    unit = "ms/token" if "seconds_per_token" in row else unit
    unit = "s" if name == "demo" else unit
    scale = {"tokens/s": 1, "s": 1}.get(unit, 1e3)
    return [
        row["workload"],
        row["dtype"],
        f"{row['ratio']:.2f}",
        f"{aim:g}" if aim else "–",
        f"{number(units['neat'] * scale)} {unit}",
        f"{number(units[rival] * scale)} ({rival})",
        f"{row['floor_seconds'] * 1e3:.0f} ms" if "floor_seconds" in row else "–",
        f"{row['mfu']:.0%}" if "mfu" in row else "–",
        f"{row['memory_ratio']:.2f}" if "memory_ratio" in row else "–",
    ]


def number(value: float) -> str:
    """Three digits, or all of them before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def behind(told: dict) -> list[str]:
    """Name the aims that are missed."""
    name = told["benchmark"]
    aims = [(row, TARGETS.get((name, row["workload"], row.get("dtype")))) for row in told["rows"]]
    short = [
        f"{row['workload']} {row['dtype']} ({row['ratio']:.2f} of {aim:g})"
        for row, aim in aims
        if aim and row["ratio"] < aim
    ]
    short += [
        f"memory on A, {row['dtype']} ({row['memory_ratio']:.2f}, at most 0.33)"
        for row in told["rows"]
        if row["workload"] == "A" and row.get("memory_ratio", 0) > MEMORY_TARGET
    ]
    slower = [f"{r['workload']}" for r in told["rows"] if r.get("ratio", 1) < 1]
    found = []
    if any(aim for _, aim in aims):
        found.append(f"Short of the aim: {', '.join(short)}." if short else "Every aim is met.")
    if slower:
        found.append(f"Not ahead: {', '.join(slower)}.")
    return found


def grid(rows: list[list[str]]) -> str:
    """Write a Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main()
