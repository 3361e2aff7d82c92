"""What a row says of its conversation in further columns: none of it may vanish.

`system` (or `system_prompt`) becomes the system message, `tools` the functions that the chat
template announces, `chat_template_kwargs` the template's further arguments; an Alpaca row's
`input`, a Dolly row's `context` and a `history` join the instruction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neat_align.data.turns import MEDIA, without_nones
from neat_align.errors import DataError
from neat_align.types import Message, Query

SYSTEM = ("system", "system_prompt")
INPUTS = ("input", "context")
TOOLS, ARGUMENTS = "tools", "chat_template_kwargs"


def with_beside(query: Query, row: Mapping[str, Any]) -> Query:
    """Add the row's system message, tools and template arguments to its query.

    Raises:
        DataError: one of them is of another form; or there are two system messages.
    """
    used = [name for name in (*SYSTEM, TOOLS, ARGUMENTS) if name in row]
    if not used:
        return query
    return replace(
        query,
        messages=_with_system(query.messages, row),
        meta={k: v for k, v in query.meta.items() if k not in used},
        tools=_tools(row.get(TOOLS)),
        template_kwargs=_arguments(row.get(ARGUMENTS)),
        id="",
    )


def instruction_of(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], list[str]]:
    """Return the turns of an Alpaca row, and the columns beside `instruction` that they hold.

    The input stands below the instruction; the history's questions and answers before both.
    """
    used = [name for name in INPUTS if row.get(name)]
    texts = [_text(row, name) for name in ("instruction", *used)]
    turns = _history(row["history"]) if row.get("history") else []
    used += ["history"] if turns else []
    return (*turns, Message("user", "\n\n".join(texts))), used


def refuse_media(row: Mapping[str, Any]) -> None:
    """Raise a `DataError` for a row with pictures or sound, which no language model reads."""
    if found := [name for name in MEDIA if not _is_empty(row.get(name))]:
        raise DataError(
            f"a row with the column {found[0]!r}",
            "a language model cannot read it, and would answer the text alone",
            "remove the row, or the column where the text does without it",
        )


def _with_system(messages: tuple[Message, ...], row: Mapping[str, Any]) -> tuple[Message, ...]:
    named = [name for name in SYSTEM if not _is_empty(row.get(name))]
    texts = {_text(row, name) for name in named}
    if not texts:
        return messages
    texts |= {m.content for m in messages[:1] if m.role == "system"}
    if len(texts) > 1:
        raise DataError(
            f"a row with {' and '.join(named)}, and another system message",
            "it is not clear which of them is the system message",
            "leave one of them out",
        )
    system = Message("system", texts.pop())
    return messages if messages[0].role == "system" else (system, *messages)


def _tools(value: Any) -> tuple[Mapping[str, Any], ...]:
    found = without_nones(_parsed(value, TOOLS))
    if _is_empty(found):
        return ()
    if not isinstance(found, list) or not all(isinstance(tool, Mapping) for tool in found):
        raise _other_form(TOOLS, value, "a list of JSON schemas")
    return tuple(found)


def _arguments(value: Any) -> Mapping[str, Any]:
    found = without_nones(_parsed(value, ARGUMENTS))
    if _is_empty(found):
        return {}
    if not isinstance(found, Mapping):
        raise _other_form(ARGUMENTS, value, 'a mapping, e.g. {"enable_thinking": false}')
    return dict(found)


def _parsed(value: Any, name: str) -> Any:
    """Read what a cell holds; CSV and some Parquet files have it as JSON text."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise _other_form(name, value, "JSON") from error


def _other_form(name: str, value: Any, wanted: str) -> DataError:
    return DataError(f"{name}: {str(value)[:60]!r}", f"it is not {wanted}", f"write {wanted}")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, str):
        raise _other_form(name, value, "text")
    return value


def _history(value: Any) -> list[Message]:
    """Earlier turns, as pairs of a question and its answer."""
    wanted = 'a list of pairs, e.g. [["a question", "its answer"]]'
    if not isinstance(value, list | tuple):
        raise _other_form("history", value, wanted)
    turns = []
    for pair in value:
        if not isinstance(pair, list | tuple) or not all(isinstance(text, str) for text in pair):
            raise _other_form("history", pair, wanted)
        if len(pair) != 2:
            raise _other_form("history", pair, wanted)
        turns += [Message("user", pair[0]), Message("assistant", pair[1])]
    return turns


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | Mapping) and not len(value))
