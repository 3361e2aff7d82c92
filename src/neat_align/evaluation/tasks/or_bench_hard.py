"""OR-Bench-Hard: safe requests that several large models refused. Some are on the border."""

from __future__ import annotations

from pathlib import Path

from neat_align.evaluation.published import Hub, Published
from neat_align.evaluation.refusals import OVER_REFUSAL, READ
from neat_align.evaluation.rows import queries_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read or-bench-hard-1k.csv of bench-llm/or-bench, or rows with `query`."""
    return queries_with(path, "borderline", "query", "prompt")


OR_BENCH_HARD = Task(
    name="or_bench_hard",
    title="OR-Bench-Hard",
    version="1",
    about="Are safe requests refused that large models refuse?",
    licence="CC-BY-4.0",
    citation="Cui et al. 2024, OR-Bench: An Over-Refusal Benchmark for Large Language Models",
    answered=READ,
    metrics=OVER_REFUSAL,
    read=read,
    suites=("safety",),
    published=Published(
        "https://huggingface.co/datasets/bench-llm/or-bench",
        ("or-bench/or-bench-hard-1k.csv", "or-bench-hard/or_bench_hard.jsonl"),
        Hub("bench-llm/or-bench", "or-bench-hard-1k"),
    ),
)
