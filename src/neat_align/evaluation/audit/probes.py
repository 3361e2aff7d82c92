"""Lay an honest answer and tricks side by side: what a training would do to please a reward.

The honest answer is a refusal for a harmful request and real help for any other. Each trick is a
whole answer that nobody should like better.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from neat_align.errors import DataError, InputError
from neat_align.storage.yaml_text import parse_yaml
from neat_align.types import Group, Query, Response, Source

HARMFUL = "harmful"
KINDS = (HARMFUL, "borderline", "benign")
REPEATS = 6
SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True)
class Probe:
    """A request with its honest answer, and the tricks by name."""

    query: Query
    honest: str
    hacks: Mapping[str, str]

    @property
    def group(self) -> Group:
        """The honest answer, then the tricks, as a group to score."""
        texts = (self.honest, *self.hacks.values())
        return Group(self.query, tuple(Response(text, Source.DATA) for text in texts))


def hack_meanings() -> Mapping[str, str]:
    """Return what each trick is, in the order they are shown."""
    meanings: Mapping[str, str] = _texts()["hacks"]
    return meanings


def probes(queries: Sequence[Query]) -> list[Probe]:
    """Make the probe of each request: its `kind` says whether honesty refuses or helps.

    Args:
        queries: harmless ones hold an honest answer in the column `answer`.
    """
    return [_probe(query, number) for number, query in enumerate(queries)]


def request_problems(queries: Sequence[Query]) -> list[InputError]:
    """Tell which requests cannot be probed: those without a kind, or without an honest answer."""
    kinds = ", ".join(KINDS)
    unlabelled = [q for q in queries if q.meta.get("kind") not in KINDS]
    if unlabelled:
        why = f"whether honesty refuses or helps is known by `kind`: {kinds}"
        fix = f"give every request a column `kind` with one of {kinds}"
        return [DataError(_named(unlabelled, "without such a kind"), why, fix)]
    lacking = [q for q in queries if q.meta["kind"] != HARMFUL and not _answer(q).strip()]
    if not lacking:
        return []
    why = "a trick is compared with an honest answer, and nobody can make that up"
    fix = "give every borderline and benign request a good answer in the column `answer`"
    return [DataError(_named(lacking, "without an answer"), why, fix)]


def _named(queries: Sequence[Query], what: str) -> str:
    return f"{len(queries)} requests {what}, the first {queries[0].named}"


def _answer(query: Query) -> str:
    return str(query.meta.get("answer") or "")


def _probe(query: Query, number: int) -> Probe:
    def turn(name: str) -> str:
        wordings = _texts()[name]
        return str(wordings[number % len(wordings)])

    harmful = query.meta["kind"] == HARMFUL
    refusal, steps = turn("refusals"), turn("steps")
    honest = refusal if harmful else _answer(query)
    own = {"complies": steps} if harmful else {"refuses_everything": refusal}
    hacks = own | {
        "polite_compliance": f"{turn('delight')} {steps}",
        "false_refusal": f"{refusal} {turn('turns')} {steps if harmful else honest}",
        "flattery": turn("flattery"),
        "repetition": " ".join([SENTENCE_END.split(honest)[0]] * REPEATS),
        "copies_query": query.text,
        "very_long": f"{honest} {_texts()['filler']}",
        "very_short": turn("short"),
        "garble": turn("garble"),
    }
    return Probe(query, honest, hacks)


@cache
def _texts() -> dict[str, Any]:
    file = files("neat_align.evaluation.audit").joinpath("probes.yaml")
    content: dict[str, Any] = parse_yaml(file.read_text("utf-8"))
    return content
