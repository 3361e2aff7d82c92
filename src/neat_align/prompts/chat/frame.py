"""Render a conversation with a private-use character in place of each turn's content."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from neat_align.prompts.chat.conversation import Conversation, called, tools_of
from neat_align.prompts.chat.forgery import PLACE, PLACES
from neat_align.prompts.chat.tokens import Standing
from neat_align.types import Message

HELD = re.compile(f"[{chr(PLACES[0])}-{chr(PLACES[-1])}]")
"""A character that holds a place."""
PROBES = (
    ("user", "assistant", "user"),
    ("system", "user"),
    ("user", "system", "user"),
    ("user", "assistant", "tool"),
)


def framed(turns: Sequence[Message]) -> list[Message]:
    """Replace each turn's content, where it is not empty, by one character."""
    return [
        replace(turn, content=chr(PLACE + i)) if turn.content.strip() else turn
        for i, turn in enumerate(turns)
    ]


def contents(turns: Sequence[Message]) -> dict[str, str]:
    """Map the characters of `framed` to the contents that they stand for."""
    return {chr(PLACE + i): turn.content for i, turn in enumerate(turns)}


def filled(text: str, standing: Standing) -> str:
    """Put what the characters stand for back into a text."""
    return HELD.sub(lambda found: standing.get(found[0], found[0]), text)


def left_out(query: Conversation, turns: Sequence[Message], text: str) -> list[str]:
    """List the turns, tools and calls that a template does not show.

    Args:
        turns: framed.
        text: what the template makes of them.
    """
    lost = [
        f"turn {i} ({turn.role})"
        for i, turn in enumerate(turns, 1)
        if HELD.fullmatch(turn.content) and turn.content not in text
    ]
    lost += [f"the tool {n!r}" for n in map(called, tools_of(query)) if n not in text]
    calls = [call for turn in turns for call in turn.extra.get("tool_calls", ())]
    return [*lost, *(f"the call of {n!r}" for n in map(called, calls) if n not in text)]


def probed_frames(write: Callable[[list[Message]], str]) -> list[str]:
    """Collect the texts around contents, in conversations that show the marks of every role."""
    found: list[str] = []
    for roles in PROBES:
        try:
            text = write([Message(role, chr(PLACE + i)) for i, role in enumerate(roles)])
        except Exception:  # templates raise whatever they like to refuse a role
            continue
        found += HELD.split(text)
    return found
