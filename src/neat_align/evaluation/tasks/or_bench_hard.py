"""OR-Bench-Hard: safe requests that several large models refused. Some are on the border."""

from __future__ import annotations

from pathlib import Path

from neat_align.data.files import read_rows
from neat_align.evaluation.refusals import OVER_REFUSAL, READ, text_at
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read or-bench-hard-1k.csv of bench-llm/or-bench, or rows with `query`."""
    return [
        Query.from_text(text_at(row, place, "query", "prompt"), kind="borderline")
        for place, row in read_rows(path)
    ]


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
)
