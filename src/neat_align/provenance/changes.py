"""Find what has changed among the things that a run was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neat_align.errors import OutputError
from neat_align.provenance.kinds import Source
from neat_align.storage.identity import Sources, differences, leaves
from neat_align.storage.runs import RunDirectory

HELD = "steering"  # a run keeps its texts, and goes on with them


def changes(sources: Sources) -> dict[str, list[str]]:
    """Describe, by place, how each source differs from its record; [] if it does not."""
    return {place: _changes(place, source) for place, source in sources.items()}


def refuse_changes(run: RunDirectory) -> None:
    """Stop a run whose inputs have changed since it began.

    Raises:
        OutputError: an input differs from its record.
    """
    refuse_changed(f"what the run in {run.directory} is made from", run.manifest()["sources"])


def refuse_changed(given: str, sources: Sources) -> None:
    """Raise an OutputError if any source, steering aside, differs from its record."""
    looked_at = {place: s for place, s in sources.items() if s["kind"] != HELD}
    found = [line for lines in changes(looked_at).values() for line in lines]
    if found:
        raise OutputError(
            given,
            f"it has changed since the run began: {', '.join(found)}",
            "restore it (a run keeps texts under inputs/) and resume, or start another one",
        )


def _changes(place: str, source: Mapping[str, Any]) -> list[str]:
    now = Source(source["kind"], source["name"]).content()
    if now == "missing":
        return [f"{place}: {source['name']} is gone, or cannot be read"]
    before = leaves({place: source["content"]})
    return differences(before, leaves({place: now}), {place: source})
