"""Which of an evaluation's queries a policy was trained on, as the run that it lies in tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neat_align.data import read_groups
from neat_align.errors import InputError
from neat_align.recipe import Data
from neat_align.storage.runs import MANIFEST, RunDirectory
from neat_align.types import Query
from neat_align.workflow import inputs


def trained_queries(models: Mapping[str, Path]) -> dict[str, list[Query] | None]:
    """By model, the queries that it was trained on; None where they are no longer known.

    Models that lie in no run of ours are left out; of a run on the hub's data nothing is told.
    """
    found: dict[str, list[Query] | None] = {}
    for name, path in models.items():
        run = next((p for p in path.absolute().parents[:2] if (p / MANIFEST).is_file()), None)
        if run is not None:
            try:
                found[name] = _trained(RunDirectory(run))
            except InputError:
                found[name] = None
    return found


def seen_in_training(
    trained: Mapping[str, Sequence[Query] | None], queries: Sequence[Query]
) -> dict[str, int | None]:
    """By model, how many of the queries it was trained on, if any; None where nobody knows.

    Args:
        trained: see `trained_queries`.
    """
    ids = {name: own and {query.id for query in own} for name, own in trained.items()}
    found = {
        name: None if own is None else sum(query.id in own for query in queries)
        for name, own in ids.items()
    }
    return {name: count for name, count in found.items() if count != 0}


def _trained(run: RunDirectory) -> list[Query]:
    manifest = run.manifest()
    groups = manifest["sources"].get("groups")
    if groups is not None:
        return [group.query for group in read_groups(groups["name"])]
    recipe = manifest["recipe"]
    if not isinstance(recipe.get("queries"), dict):
        return []
    section = Data.model_validate(recipe["queries"])
    return [] if section.dataset else inputs.queries(section, recipe.get("seed", 0))
