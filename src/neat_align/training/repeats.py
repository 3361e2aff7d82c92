"""Stored groups that share a query: told apart, so that each has draws of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from neat_align.types import Group


def repeat_numbers(groups: Iterable[Group]) -> dict[Group, int]:
    """How many other groups of the same query come before each that is not the first one.

    Equal groups count as one.
    """
    seen: Counter[str] = Counter()
    numbers: dict[Group, int] = {}
    often = {i for i, count in Counter(group.query.id for group in groups).items() if count > 1}
    for group in groups:
        if group.query.id in often and group not in numbers:
            numbers[group] = seen[group.query.id]
            seen[group.query.id] += 1
    return numbers


def draw_key(group: Group, number: int = 0) -> str:
    """What seeds a group's draws: its query, and its number among the groups of that query."""
    return f"{group.query.id}#{number}" if number else group.query.id
