"""Cells of a row as what they mean: JSON in a text column, and names in other letters.

Spreadsheets and CSV know only text; a conversation in them is JSON, or what Python prints.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from neat_align.data.formats import ANSWER_COLUMNS, PROMPT_COLUMNS, SHAREGPT_COLUMNS
from neat_align.errors import DataError

CONVERSATIONS = ("messages", *SHAREGPT_COLUMNS)
MAYBE = tuple(name for name in (*PROMPT_COLUMNS, *ANSWER_COLUMNS) if name not in CONVERSATIONS)
"""Columns that hold a text, or a conversation."""
NAMES = (*PROMPT_COLUMNS, *ANSWER_COLUMNS, *SHAREGPT_COLUMNS)


def understood(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The row with its columns under our names, and with conversations as lists.

    Raises:
        DataError: a column of conversations holds broken JSON.
    """
    renamed = {_our_name(name, row): value for name, value in row.items()}
    for name in CONVERSATIONS:
        if _looks_encoded(renamed.get(name)):
            renamed[name] = _conversation(renamed[name], name, place)
    for name in MAYBE:
        if _looks_encoded(renamed.get(name)) and (turns := _turns(renamed[name])):
            renamed[name] = turns
    return renamed


def _our_name(name: str, row: Mapping[str, Any]) -> str:
    """`Prompt` and ` PROMPT ` are `prompt`, unless the row has that, too."""
    lower = name.strip().lower()
    return lower if lower in NAMES and lower not in row else name


def _looks_encoded(value: Any) -> bool:
    return isinstance(value, str) and "".join(value[:20].split()).startswith(("[{", "[]"))


def _conversation(text: str, name: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        turns = _printed(text)
        if turns is not None:
            return turns
        raise DataError(
            f"{place}: column {name!r}: {text[:60]!r}",
            f"broken JSON: {error}",
            'write [{"role": "user", "content": "…"}], as json.dumps does',
        ) from error


def _turns(text: str) -> list[Any] | None:
    """A conversation; None for a text that only begins like one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _printed(text)
    is_list = isinstance(found, list) and bool(found)
    return found if is_list and all(_is_turn(turn) for turn in found) else None


def _printed(text: str) -> Any:
    """What Python printed as a list; None for anything else."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and ({"role", "content"} <= turn.keys() or "from" in turn)
