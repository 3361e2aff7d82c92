"""Queries without a whole group: noted beside the groups, and asked again by the next start.

A part of a directory holds the note in its metadata. For a single file it stands in a hidden
file beside it, with the settings that it was made by.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neat_align.data.files import read_rows
from neat_align.data.groups.wide import check_wide, group_of_wide, read_notes
from neat_align.storage.atomic import atomic_write_json, read_json
from neat_align.types import Group, Query

MISSING, UNSCORED, SERVER = "missing", "unscored", "server"
NO_REASON = "no reason given"

Reasons = Mapping[str, str]  # by the query's id
Make = Callable[[Sequence[Query]], Sequence[Group]]


@dataclass(frozen=True)
class Told:
    """What a maker of groups has to say of what it made; both change as it works.

    Attributes:
        why: reasons for queries without a group.
        server: what is known of the server that answered, by kind: lists of texts.
    """

    why: Reasons = field(default_factory=dict)
    server: Mapping[str, Iterable[str]] = field(default_factory=dict)

    def notes(
        self, queries: Sequence[Query], groups: Sequence[Group], before: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write notes on these queries' groups, with what earlier notes said of the server."""
        known = {group.query.id for group in groups}
        missing = {q.id: self.why.get(q.id, NO_REASON) for q in queries if q.id not in known}
        of_server = _united(before.get(SERVER, {}), self.server)
        found = {MISSING: missing, SERVER: of_server}
        return {name: value for name, value in found.items() if value}


def filled(
    queries: Sequence[Query], known: Sequence[Group], missing: Iterable[str], make: Make
) -> tuple[list[Group], int]:
    """Add the groups of missing queries, as far as they come now, and count those."""
    wanted = set(missing)
    new = make([query for query in queries if query.id in wanted])
    found = {group.query.id: group for group in (*known, *new)}
    return [found[query.id] for query in queries if query.id in found], len(new)


def groups_of_part(path: Path) -> list[Group]:
    """Read the groups of one part, in Parquet; none where nothing was kept of it."""
    return [group_of_wide(row) for _, row in read_rows(path)] if check_wide(path) else []


def note_beside(path: Path, settings: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
    """Keep the notes of a file of groups; nothing stays where there is none."""
    beside = _beside(path)
    if notes:
        atomic_write_json(beside, {"settings": settings, **notes})
    else:
        beside.unlink(missing_ok=True)


def goes_on(path: Path, settings: Mapping[str, Any]) -> bool:
    """Tell whether a file of groups is there, made with these settings, and lacks some."""
    notes = notes_of(path)
    same = notes.get("settings") == json.loads(json.dumps(settings))
    return path.exists() and same and bool(notes.get(MISSING) or notes.get(UNSCORED))


def notes_of(path: Path) -> dict[str, Any]:
    """Read the notes of a file of groups: those beside it, and else those in it."""
    beside = _beside(path)
    if beside.exists():
        notes: dict[str, Any] = read_json(beside)
        return notes
    return read_notes(path) if path.suffix == ".parquet" else {}


def missing_stats(files: Iterable[Path]) -> dict[str, Any]:
    """Of all files: how many queries have no group, or no scores, and why; and of the server."""
    found: dict[str, Any] = {MISSING: Counter(), UNSCORED: Counter()}
    server: dict[str, list[str]] = {}
    for file in files:
        notes = notes_of(file)
        for kind in (MISSING, UNSCORED):
            found[kind].update(notes.get(kind, {}).values())
        server = _united(server, notes.get(SERVER, {}))
    return {**{kind: dict(reasons) for kind, reasons in found.items()}, SERVER: server}


def told_of(count: int, what: str) -> str:
    """How a command's last line speaks of queries that were left out; "" for none."""
    queries = "query" if count == 1 else "queries"
    return f"; {count} {queries} without {what} left out: the next start asks again" * bool(count)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.missing.json")


def _united(
    one: Mapping[str, Iterable[str]], other: Mapping[str, Iterable[str]]
) -> dict[str, list[str]]:
    names = sorted({*one, *other})
    whole = {name: sorted({*one.get(name, ()), *other.get(name, ())}) for name in names}
    return {name: texts for name, texts in whole.items() if texts}
