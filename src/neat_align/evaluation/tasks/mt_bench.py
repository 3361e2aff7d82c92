"""MT-Bench and Vicuna-Bench: open questions. Only first turns are asked, and nothing is graded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.published import Published
from neat_align.evaluation.refusals import ORDINARY, READ
from neat_align.evaluation.rows import AS_PUBLISHED, rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query

FASTCHAT = "https://github.com/lm-sys/FastChat/tree/main/fastchat/llm_judge/data"


def read(path: Path) -> list[Query]:
    """Read question.jsonl of github.com/lm-sys/FastChat, fastchat/llm_judge/data/NAME."""
    return [
        Query.from_text(_first(row.get("turns"), at), kind="benign") for at, row in rows_with(path)
    ]


def _first(turns: object, place: str) -> str:
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], str):
        raise DataError(place, "its `turns` are no list of texts", AS_PUBLISHED)
    return turns[0]


MT_BENCH = Task(
    name="mt_bench",
    title="MT-Bench",
    version="1",
    about="Are open questions of eight kinds still answered? First turns, not graded.",
    licence="Apache-2.0",
    citation="Zheng et al. 2023, Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena",
    answered=READ,
    metrics=ORDINARY,
    read=read,
    suites=("abilities",),
    published=Published(
        FASTCHAT,
        ("mt_bench/question.jsonl", "mt-bench-vicuna/mt_bench_question.jsonl"),
    ),
)
VICUNA_BENCH = replace(
    MT_BENCH,
    name="vicuna_bench",
    title="Vicuna-Bench",
    about="Are open questions of nine kinds still answered? Not graded.",
    citation="Chiang et al. 2023, Vicuna: An Open-Source Chatbot Impressing GPT-4 with 90% "
    "ChatGPT Quality",
    published=Published(
        FASTCHAT, ("vicuna_bench/question.jsonl", "mt-bench-vicuna/vicuna_bench_question.jsonl")
    ),
)
