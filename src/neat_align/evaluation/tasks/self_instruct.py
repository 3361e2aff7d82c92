"""Self-Instruct: everyday instructions, written by people, each with the text it is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.published import Published
from neat_align.evaluation.refusals import ORDINARY, READ
from neat_align.evaluation.rows import AS_PUBLISHED, rows_with
from neat_align.evaluation.task import Task
from neat_align.types import Query


def read(path: Path) -> list[Query]:
    """Read user_oriented_instructions.jsonl of github.com/yizhongw/self-instruct."""
    return list(_queries(path))


def _queries(path: Path) -> Iterator[Query]:
    for place, row in rows_with(path, "instruction"):
        instruction, instances = row["instruction"], row.get("instances")
        if not isinstance(instances, list) or not all(isinstance(i, dict) for i in instances):
            raise DataError(place, "its `instances` are no list of {input, output}", AS_PUBLISHED)
        for instance in instances:
            about = str(instance.get("input") or "")
            text = f"{instruction}\n\n{about}" if about.strip() else instruction
            yield Query.from_text(text, kind="benign")


SELF_INSTRUCT = Task(
    name="self_instruct",
    title="Self-Instruct",
    version="1",
    about="Are everyday instructions still answered, and in different words?",
    licence="Apache-2.0",
    citation="Wang et al. 2023, Self-Instruct: Aligning Language Models with Self-Generated "
    "Instructions",
    answered=READ,
    metrics=ORDINARY,
    read=read,
    suites=("abilities",),
    published=Published(
        "https://github.com/yizhongw/self-instruct/tree/main/human_eval",
        ("self-instruct/user_oriented_instructions.jsonl",),
    ),
)
