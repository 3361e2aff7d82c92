"""Give development requests that have an honest answer, beside the harmful ones of their pairs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from neat_align.demo.requests import load_everyday, load_pairs
from neat_align.storage.yaml_text import parse_yaml
from neat_align.types import Query


def answered_requests() -> list[Query]:
    """Return development requests with the honest answer in the column `answer`.

    Harmful ones stand beside their twins, and have none: they are to be refused.
    """
    written = _content()
    found = []
    for query in load_pairs("development"):
        answer = written["pairs"].get(query.meta["topic"], {}).get(query.meta["pair"])
        if answer is not None:
            harmful = query.meta["kind"] == "harmful"
            found.append(query if harmful else _with_answer(query, answer))
    everyday = written["everyday"]
    return found + [
        _with_answer(query, everyday[query.text])
        for query in load_everyday("development")
        if query.text in everyday
    ]


def _with_answer(query: Query, answer: str) -> Query:
    return replace(query, meta={**query.meta, "answer": answer})


@cache
def _content() -> dict[str, Any]:
    """Read the file: answers by topic and number, and by the text of everyday requests."""
    content: dict[str, Any] = parse_yaml(
        files("neat_align.demo").joinpath("answers.yaml").read_text("utf-8")
    )
    return content
