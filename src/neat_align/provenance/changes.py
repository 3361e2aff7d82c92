"""What has become, since, of the things that a run was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neat_align.errors import OutputError
from neat_align.provenance.kinds import Source
from neat_align.storage.identity import Sources, differences, leaves
from neat_align.storage.runs import RunDirectory

HELD = "steering"  # of which a run keeps the texts, and goes on with them


def changes(sources: Sources) -> dict[str, list[str]]:
    """By place, what differs now from what a run recorded, in words; [] where nothing does."""
    return {place: _changes(place, source) for place, source in sources.items()}


def refuse_changes(run: RunDirectory) -> None:
    """Stop a run whose inputs were changed while it was going.

    Raises:
        OutputError: they are not what the run began with.
    """
    refuse_changed(f"what the run in {run.directory} is made from", run.manifest()["sources"])


def refuse_changed(given: str, sources: Sources) -> None:
    """Stop before work on sources that are not what they were; see `refuse_changes`."""
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
