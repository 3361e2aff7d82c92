"""Read a conversation, a query or turns alone, into what a chat template takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from neat_align.types import Message, Query

Conversation = Query | Sequence[Message]


def turns_of(query: Conversation, answer: str | None = None) -> list[Message]:
    """List the turns, followed by the answer where there is one."""
    turns = list(query.messages if isinstance(query, Query) else query)
    return turns if answer is None else [*turns, Message("assistant", answer)]


def tools_of(query: Conversation) -> Sequence[Mapping[str, Any]]:
    """Return the tools that the query lets the model call."""
    return query.tools if isinstance(query, Query) else ()


def name_of(query: Conversation | None) -> str:
    """Name the conversation for an error."""
    return query.named if isinstance(query, Query) else "a conversation"


def called(tool: Mapping[str, Any]) -> str:
    """Name the function that a tool describes or a call calls; "" without one."""
    function = tool.get("function", tool)
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def for_template(turn: Message) -> dict[str, Any]:
    """Convert a turn to a mapping, with its calls' arguments as mappings, as templates expect."""
    record = turn.to_json()
    if "tool_calls" in record:
        record["tool_calls"] = [_with_arguments_read(call) for call in record["tool_calls"]]
    return record


def _with_arguments_read(call: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a tool call's arguments where they are JSON text."""
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": _with_arguments_read(call["function"])}
    if not isinstance(call.get("arguments"), str):
        return dict(call)
    try:
        return {**call, "arguments": json.loads(call["arguments"])}
    except ValueError:
        return dict(call)
