"""An option whose value is a JSON object."""

from __future__ import annotations

import json
from typing import Any

from neat_align.errors import RecipeError


def json_object(value: str | None, option: str) -> dict[str, Any]:
    """Read the object that an option holds; {} where it is not given.

    Raises:
        RecipeError: it is no JSON object. What was given is not shown: it may be secret.
    """
    fix = f"""write {option} '{{"name": value}}', in quotes for the shell"""
    try:
        content = json.loads(value or "{}", object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise RecipeError(option, f"it is no JSON: {error}", fix) from None
    if not isinstance(content, dict):
        raise RecipeError(option, f"it is a {type(content).__name__}, and no object", fix)
    return content


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found
