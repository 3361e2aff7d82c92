"""Cells of a row as what they mean: JSON in a text column, and names in other letters.

Spreadsheets and CSV know only text; a conversation in them is JSON, or what Python prints.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from neat_align.data.format import Format
from neat_align.data.formats import formats
from neat_align.errors import DataError


def understood(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the row with its columns under our names, and with conversations as lists.

    Raises:
        DataError: a column of conversations holds broken JSON.
    """
    known = _known_columns(formats())
    renamed = {_our_name(name, row, known): value for name, value in row.items()}
    for name, is_conversation in known.items():
        if not _looks_encoded(renamed.get(name)):
            continue
        if is_conversation:
            renamed[name] = _conversation(renamed[name], name, place)
        elif turns := _turns(renamed[name]):
            renamed[name] = turns
    return renamed


@cache
def _known_columns(found: tuple[Format, ...]) -> dict[str, bool]:
    """Map the columns of the formats to whether they hold conversations alone."""
    alone = {name for format in found for name in format.conversations}
    return {name: name in alone for format in found for name in format.columns}


def _our_name(name: str, row: Mapping[str, Any], known: Collection[str]) -> str:
    """`Prompt` and ` PROMPT ` are `prompt`, unless the row has that, too."""
    lower = name.strip().lower()
    return lower if lower in known and lower not in row else name


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
    """Read a conversation; None for a text that only begins like one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _printed(text)
    is_list = isinstance(found, list) and bool(found)
    return found if is_list and all(_is_turn(turn) for turn in found) else None


def _printed(text: str) -> Any:
    """Read what Python printed as a list; None for anything else."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and ({"role", "content"} <= turn.keys() or "from" in turn)
