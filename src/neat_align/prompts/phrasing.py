"""One way of steering an answer, through one of four channels.

    channel   what it is                                       in a steering file
    system    a prompt before the query                        "Be kind." or {system: "Be kind."}
    turns     a conversation that goes the way it is wanted     {turns: [{user: …, assistant: …}]}
    prefix    how the answer begins; the model goes on          {prefix: "I'm sorry, but"}
    column    an answer that stands beside the query            {column: rejected}

A small model may do what its own words have begun, or what it has just been shown, where a
prompt leaves it cold. `turns` and `prefix` may have a `system` prompt as well. The whole answer
counts, its prefix included, in log-probs, scores and text; the prompt and the turns are no part
of what is trained on. A column's answer is taken as it stands: nothing is drawn for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from neat_align.errors import SteeringError, nearest, raise_all
from neat_align.types import Message, Query

Turns = tuple[tuple[str, str], ...]
"""What a user said and an assistant answered, in turn."""

SYSTEM, TURNS, PREFIX, COLUMN = CHANNELS = ("system", "turns", "prefix", "column")
"""Each channel's name, which is also the key that makes a phrasing one of it."""

BEFOREHAND = {
    "model": "let that model answer the queries first, and put its answers into a column of them",
    "answers": "put the answers into a column of the queries",
}
"""Keys that somebody may look for here → what to do instead."""


class Steered(Protocol):
    """What tells how it was steered: a response, or a request for one."""

    @property
    def steering(self) -> str: ...
    @property
    def turns(self) -> Turns: ...
    @property
    def prefix(self) -> str: ...
    @property
    def column(self) -> str: ...


@dataclass(frozen=True)
class Phrasing:
    """What stands before the query, and how the answer begins.

    Attributes:
        system: a steering prompt, "" for none.
        turns: of another conversation, shown before the query.
        prefix: the beginning of the answer.
        column: of the query's data, which holds the whole answer.
    """

    system: str = ""
    turns: Turns = ()
    prefix: str = ""
    column: str = ""

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any], given: str) -> Phrasing:
        """Read a phrasing as a steering file writes it.

        Args:
            given: names it in errors.

        Raises:
            SteeringError: an unknown key, a value of another form, or nothing to steer by.
        """
        raise_all(list(_problems(value, given)))
        turns = value.get(TURNS) or ()
        return cls(
            system=value.get(SYSTEM, "").strip(),
            turns=tuple((t["user"].strip(), t["assistant"].strip()) for t in turns),
            prefix=value.get(PREFIX, "").strip(),
            column=value.get(COLUMN, "").strip(),
        )

    @classmethod
    def of(cls, steered: Steered) -> Phrasing:
        """Return what steered a response, or shall steer one."""
        return cls(steered.steering, steered.turns, steered.prefix, steered.column)

    def before(self, query: Query) -> Query:
        """Put the turns before a query, behind its system message; the prompt is put later."""
        first = query.messages[0]
        system = (first,) if first.role == "system" else ()
        shown = (
            Message(role, text)
            for turn in self.turns
            for role, text in zip(("user", "assistant"), turn, strict=True)
        )
        return replace(query, messages=(*system, *shown, *query.messages[len(system) :]))

    @property
    def channel(self) -> str:
        """Name the channel; "" for a phrasing that says nothing."""
        return next((name for name in reversed(CHANNELS) if getattr(self, name)), "")

    def to_json(self) -> dict[str, Any]:
        """Write it as a steering file does, empty parts left out."""
        turns = [{"user": user, "assistant": assistant} for user, assistant in self.turns]
        parts = {SYSTEM: self.system, TURNS: turns, PREFIX: self.prefix, COLUMN: self.column}
        return {name: part for name, part in parts.items() if part}

    def __str__(self) -> str:
        """Write it for tables: a prompt as it is, the other channels by name."""
        shown = [f"[{user} → {assistant}]" for user, assistant in self.turns]
        begun = [f"[answer begins: {self.prefix}]"] if self.prefix else []
        taken = [f"[the data's {self.column}]"] if self.column else []
        return " ".join([*([self.system] if self.system else []), *shown, *begun, *taken])


def _problems(value: Mapping[str, Any], given: str) -> Iterator[SteeringError]:
    for key in value:
        if key in BEFOREHAND:
            why, told = "answers that nothing here draws stand in the data", BEFOREHAND[str(key)]
            yield SteeringError(f"{given}: {key!s}", why, f"{told}: {{column: NAME}}")
        elif key not in CHANNELS:
            yield SteeringError(f"{given}: {key!s}", "no such key", nearest(str(key), CHANNELS))
    if value.get(COLUMN) and len(value) > 1:
        why = "an answer of the data is taken as it stands: nothing else can steer it"
        yield SteeringError(f"{given}: {', '.join(map(str, value))}", why, "write column alone")
    for name in (SYSTEM, PREFIX, COLUMN):
        if not isinstance(value.get(name, ""), str):
            yield SteeringError(f"{given}: {name}", "it is no text", "write one text")
    turns = value.get(TURNS) or []
    if not isinstance(turns, list | tuple) or not all(map(_is_turn, turns)):
        why = "it is no list of what a user said and an assistant answered"
        fix = "write turns: [{user: …, assistant: …}]"
        yield SteeringError(f"{given}: {TURNS}", why, fix)
    if not any(str(value.get(name) or "").strip() for name in (*CHANNELS, *BEFOREHAND)):
        fix = f"write a text, or one of {', '.join(CHANNELS)}"
        yield SteeringError(given, "it says nothing to steer by", fix)


def _is_turn(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and {*value} == {"user", "assistant"}
        and all(isinstance(text, str) and text.strip() for text in value.values())
    )
