"""YAML from outside: safe tags only, of a bounded size and depth."""

from __future__ import annotations

from typing import Any

import yaml

LARGEST = 100_000  # values, counted as often as aliases repeat them
DEEPEST = 50
MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Refuses a mapping that holds a key twice, of which YAML would keep the last alone."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.tag != MERGE:
                what = f"the key {key.value!r} stands in one section twice"
                raise yaml.MarkedYAMLError(problem=what, problem_mark=key.start_mark)
            seen.add(name)
        return node


def parse_yaml(text: str) -> Any:
    """Parse a YAML (or JSON) text.

    Raises:
        ValueError: it is no YAML, holds a key twice, names a tag that would build an object,
            or its aliases make it endless or immense.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ValueError(f"not readable as YAML: {error}") from error
    except RecursionError as error:
        raise ValueError("not readable as YAML: nested too deeply") from error
    _bounded(content, LARGEST, 0)
    return content


def _bounded(value: Any, left: int, depth: int) -> int:
    """How many values are left of `left` once those of `value` are counted."""
    if depth > DEEPEST or left < 0:
        raise ValueError(f"it holds more than {LARGEST} values, or some more than {DEEPEST} deep")
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list | set):
        return left - 1
    for child in children:
        left = _bounded(child, left, depth + 1)
    return left - 1
