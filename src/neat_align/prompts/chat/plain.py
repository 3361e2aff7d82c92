"""Write conversations for models without a chat template: Human and Assistant in turn."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.errors import DataError
from neat_align.prompts.chat.conversation import Conversation, name_of, tools_of
from neat_align.types import Message

ROLE_NAMES = {"system": "System", "user": "Human", "assistant": "Assistant"}
WAITING = "\n\nAssistant:"
STOPS = ("\n\nHuman:", WAITING)
"""Where a response is over: it begins a turn of its own."""


def plain_text(query: Conversation, turns: Sequence[Message]) -> str:
    """Write the turns in the Human/Assistant format.

    Raises:
        DataError: it has no place for tools, calls and their results.
    """
    unknown = [m.role for m in turns if m.role not in ROLE_NAMES]
    if tools_of(query) or unknown or any("tool_calls" in m.extra for m in turns):
        raise DataError(
            name_of(query),
            "it holds tools or tool calls, and the model has no chat template to write them",
            "remove the row, or use a model with a chat template for tools",
        )
    return "\n\n".join(f"{ROLE_NAMES[m.role]}: {m.content}" for m in turns)
