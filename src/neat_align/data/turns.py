"""One turn of a conversation, as data sets write it, as a `Message`.

Understood: `role` and `content` (OpenAI's and TRL's form); and, where a data set is ShareGPT's,
`from` and `value`.
A content may be a list of text parts. What else a turn holds (tool calls, a name …) goes with
it to the chat template. A turn of which a part could not reach the model is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from neat_align.errors import DataError, nearest
from neat_align.types import Message

ROLES = ("system", "user", "assistant", "tool")
SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}
"""ShareGPT's speakers → our roles."""
MEDIA = ("image", "images", "audio", "audios", "video", "videos", "input_audio")
FORM = 'write [{"role": "user", "content": "…"}]'


def messages_of(value: Any) -> list[Message]:
    """Read the turns of a conversation.

    Raises:
        DataError: it is no list, or a turn of it is none that we can give to a model whole.
    """
    if not isinstance(value, list | tuple):
        raise no_conversation(value, f"it is of type {type(value).__name__}")
    return [_message(turn) for turn in value]


def without_nones(value: Any) -> Any:
    """Drop the entries that are None, which Arrow adds to make rows alike."""
    if isinstance(value, Mapping):
        return {k: without_nones(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [without_nones(v) for v in value]
    return value


def no_conversation(value: Any, why: str, fix: str = FORM) -> DataError:
    """Return the error for something that is no conversation, or no turn of one."""
    return DataError(f"a conversation with {str(value)[:60]!r}", why, fix)


def _message(turn: Any) -> Message:
    if not isinstance(turn, Mapping):
        raise no_conversation(turn, "a turn is a mapping with role and content")
    has_content = "content" in turn
    turn = without_nones(turn)
    calls = bool(turn.get("tool_calls"))
    if "role" not in turn or not (has_content or "content" in turn or calls):
        raise no_conversation(turn, "a turn is a mapping with role and content")
    if turn["role"] not in ROLES:
        raise no_conversation(turn, f"there is no such role; {nearest(str(turn['role']), ROLES)}")
    extra = {k: v for k, v in turn.items() if k not in ("role", "content") and v not in ([], {})}
    _check_extra(turn, extra)
    return Message(turn["role"], _text(turn.get("content", "" if calls else None), turn), extra)


def sharegpt_turn(turn: Any) -> Any:
    """Write ShareGPT's turn in our form; a `function_call` becomes a tool call."""
    if not isinstance(turn, Mapping) or "role" in turn or not {"from", "value"} <= turn.keys():
        return turn
    speaker, value = turn["from"], turn["value"]
    rest = {k: v for k, v in turn.items() if k not in ("from", "value")}
    if speaker == "function_call":
        return {"role": "assistant", "content": "", "tool_calls": _called(value), **rest}
    if speaker not in SPEAKERS:
        known = {*SPEAKERS, "function_call"}
        raise no_conversation(turn, f"there is no such speaker; {nearest(str(speaker), known)}")
    return {"role": SPEAKERS[speaker], "content": value, **rest}


def _called(value: Any) -> list[dict[str, Any]]:
    """Read the tool calls that a `function_call` turn spells as JSON."""
    try:
        calls = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        calls = None
    calls = [calls] if isinstance(calls, Mapping) else calls
    if not isinstance(calls, list) or not all(
        isinstance(call, Mapping) and "name" in call for call in calls
    ):
        why = "a function_call's value is JSON with name and arguments"
        raise no_conversation(value, why, 'write {"name": "f", "arguments": {…}}')
    return [{"type": "function", "function": dict(call)} for call in calls]


def _check_extra(turn: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    """Refuse what no chat template of a language model would show."""
    if media := [name for name in MEDIA if extra.get(name)]:
        raise no_conversation(
            turn, f"it holds {media[0]}, which a language model cannot read", "remove the row"
        )
    if "function_call" in extra:
        fix = 'write tool_calls: [{"type": "function", "function": {"name": …, "arguments": …}}]'
        raise no_conversation(turn, "function_call is a form that chat templates do not read", fix)
    calls = extra.get("tool_calls", [])
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        fix = 'write [{"type": "function", "function": {"name": …, "arguments": …}}]'
        raise no_conversation(turn, "its tool_calls are no list of calls", fix)


def _text(content: Any, turn: Any) -> str:
    """Read a turn's text; of a list of parts, the text parts, one below the other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise no_conversation(turn, f"its content is {type(content).__name__}, not text")
    return "\n".join(_part(part, turn) for part in content)


def _part(part: Any, turn: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "?") if isinstance(part, Mapping) else type(part).__name__
    text = part.get("text") if isinstance(part, Mapping) else None
    if kind != "text" or not isinstance(text, str):
        raise no_conversation(
            turn,
            f"a part of its content is of type {kind!r}, which a language model cannot read",
            "remove the row, or keep its parts of type text",
        )
    return text
