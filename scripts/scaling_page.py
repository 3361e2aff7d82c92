"""Write docs/scaling.md: how a job grows, what was run where, and an estimate for a 7B model.

python scripts/scaling_page.py [--check]

The estimate takes what `benchmarks/` measured and the assumptions below, which are shown in
the page beside the figures.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import common  # noqa: E402
import dataset  # noqa: E402

PAGE = ROOT / "docs" / "scaling.md"
HEAD = ROOT / "scripts" / "scaling_head.md"
RESULTS = ROOT / "benchmarks" / "results"
QUERIES = (10**5, 10**7)

PARAMETERS = 7e9
QUERY, STEERING, RESPONSE = 256, 30, 128  # tokens, on average
RESPONSES, PROMPTS, STEERED = 4, 3, 2  # 2 positive, 1 negative, 1 plain, without steering
NEGATIVE_CONTEXT = 0.7  # share of the groups whose loss is computed a second time
CHARACTERS = 4.5  # of a token of English
PEAK = 989e12  # FLOP/s of an H100 or H200 in bf16, dense, by its data sheet
MFU = (0.2, 0.4)  # believed: share of it that training and scoring reach
DRAWN = (2_500, 10_000)  # believed: tokens per second that vLLM draws of a 7B model on one GPU
STATE = 12  # bytes per parameter in a checkpoint: float32 weights and AdamW's two moments


def main() -> None:
    """Write the page, or, with --check, exit with 1 where it is not what it would be."""
    text = HEAD.read_text().strip() + "\n\n" + "\n\n".join(estimate()) + "\n"
    if "--check" in sys.argv:
        sys.exit(int(not PAGE.exists() or PAGE.read_text() != text))
    PAGE.write_text(text)


def estimate() -> list[str]:
    """Write the worked estimate: assumptions, tokens, work, time, storage."""
    drawn = RESPONSES * RESPONSE
    group = QUERY + drawn
    forwards = {
        "reading prompts": PROMPTS * QUERY + STEERED * STEERING,
        "scoring, by a reward model of the same size": group,
        "reference, for the plausibility": group + STEERING,
    }
    trained = group + NEGATIVE_CONTEXT * (group + STEERING)
    flops = {name: 2 * PARAMETERS * tokens for name, tokens in forwards.items()}
    flops["training"] = 6 * PARAMETERS * trained
    padded = RESPONSES * (QUERY + RESPONSE)
    core = core_speed()
    return [
        "## A worked estimate: a 7B model, all weights trained online",
        f"A query of {QUERY} tokens, {RESPONSES} responses of {RESPONSE} tokens on average, under "
        f"{STEERED} steering prompts of {STEERING} tokens and none, a reward model of the "
        f"same size, plausibility, and {NEGATIVE_CONTEXT:.0%} of the groups a second time in a "
        "negative context. A forward pass is 2 FLOP per parameter and token, training 6; attention "
        "and the LM head are left out. A group is read packed, its query once: "
        f"{group} tokens, where a row for each response would take {padded}.",
        table([["", *(f"{n:,} queries" for n in QUERIES)], *token_rows(drawn, trained, flops)]),
        "**Time.** Only the first line rests on a measured rate: what training the benchmark's "
        f"model (workload A, bf16) reaches on one core here, {core / 1e9:.0f} GFLOP/s. The others "
        f"are believed: a GPU with {PEAK / 1e12:.0f} TFLOP/s by its data sheet, of which "
        f"{MFU[0]:.0%} to {MFU[1]:.0%} is reached, and {DRAWN[0]:,} to {DRAWN[1]:,} tokens a "
        "second drawn by vLLM.",
        table([["", *(f"{n:,} queries" for n in QUERIES)], *time_rows(drawn, flops, core)]),
        *storage(drawn),
    ]


def token_rows(drawn: int, trained: float, flops: dict[str, float]) -> list[list[str]]:
    """Tokens and FLOP of all queries."""
    read = PROMPTS * QUERY + STEERED * STEERING
    rows = {
        "tokens read as prompts": read,
        "tokens drawn": drawn,
        "tokens trained on": trained,
    }
    found = [[name, *(f"{n * value:.3g}" for n in QUERIES)] for name, value in rows.items()]
    for name, value in flops.items():
        found.append([f"FLOP: {name}", *(f"{n * value:.3g}" for n in QUERIES)])
    return found


def time_rows(drawn: int, flops: dict[str, float], core: float) -> list[list[str]]:
    """Core-years as measured, GPU-hours as believed."""
    total = sum(flops.values())
    year = 365.25 * 24 * 3600
    rows = [
        ["core-years, at the measured rate", *(f"{n * total / core / year:,.2g}" for n in QUERIES)]
    ]
    for name, value in flops.items():
        spans = [span(n * value / PEAK / share / 3600 for share in MFU) for n in QUERIES]
        rows.append([f"GPU-hours: {name}", *spans])
    rows.append(
        ["GPU-hours: drawing", *(span(n * drawn / r / 3600 for r in DRAWN) for n in QUERIES)]
    )
    slow = [total / PEAK / MFU[0] + drawn / DRAWN[0], total / PEAK / MFU[1] + drawn / DRAWN[1]]
    rows.append(["**GPU-hours, in all**", *(span(n * s / 3600 for s in slow) for n in QUERIES)])
    return rows


def storage(drawn: int) -> list[str]:
    """Write the sizes of the data set and the checkpoints, and the cost of the data path."""
    told = json.loads((RESULTS / "dataset.json").read_text())
    rows = {(r["step"], r["queries"]): r for r in told["rows"]}
    size = max(n for _, n in rows)
    scored = rows["score", size]
    characters = sum(map(len, [dataset.words(1, 20), *(dataset.words(i, 40) for i in range(4))]))
    per_character = scored["disk_bytes"] / size / characters
    text = per_character * CHARACTERS * (QUERY + drawn)
    ids = 4 * drawn
    path = sum(rows[step, size]["seconds"] for step in ("sample", "score")) / size
    memory = max(rows[step, size]["memory_bytes"] for step in ("sample", "score", "stats"))
    lines = [["", *(f"{n:,} queries" for n in QUERIES)]]
    lines.append(["data set, texts and scores", *(bytes_of(n * text) for n in QUERIES)])
    lines.append(["its token ids, at most", *(bytes_of(n * ids) for n in QUERIES)])
    lines.append(["ids of the queries seen, in memory", *(bytes_of(8 * n) for n in QUERIES)])
    lines.append(["core-hours of the data path", *(f"{n * path / 3600:.2g}" for n in QUERIES)])
    lines.append(["a checkpoint, whatever the queries", bytes_of(STATE * PARAMETERS), "the same"])
    return [
        f"**Storage and the data path**, from `benchmarks/dataset.py` at {size:,} queries: "
        f"{per_character:.2f} bytes on disk per character of query and responses (random words, "
        f"which compress worse than text), at {CHARACTERS} characters a token; {1e3 * path:.2f} ms "
        f"a query to write, read, score and write again; at most {memory / 2**20:.0f} MiB of "
        "memory above the start. An online run keeps none of its groups on disk but those that "
        "wait in a checkpoint, beside float32 weights and AdamW's moments.",
        table(lines),
        "**What follows.** Weights, gradients and AdamW's moments of "
        f"{PARAMETERS / 1e9:.0f} billion parameters take {bytes_of(16 * PARAMETERS)} in float32: "
        "ZeRO or FSDP2 over several GPUs, or LoRA on one. The data path is nothing beside the "
        "model. At ten million queries, sample and score in shards first, on machines that "
        "may be taken away, look at `neat dataset stats`, and train on what is worth it. "
        "None of the GPU-hours has been seen: measure a thousand queries on your own "
        "GPU first; `metrics.jsonl` has the seconds and tokens of each phase.",
    ]


def core_speed() -> float:
    """FLOP/s of training the benchmark's model on one core, as measured."""
    told = json.loads((RESULTS / "training.json").read_text())
    (row,) = (r for r in told["rows"] if (r["workload"], r["dtype"]) == ("A", "bfloat16"))
    (workload,) = (w for w in common.WORKLOADS if w.name == "A")
    return common.training_flops(workload) / row["seconds"]["neat"]


def span(values: object) -> str:
    low, high = sorted(values)  # type: ignore[call-overload]
    return f"{low:,.2g} to {high:,.2g}" if high < 100 else f"{low:,.0f} to {high:,.0f}"


def bytes_of(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main()
