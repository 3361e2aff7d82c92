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


def seen_in_training(models: Mapping[str, Path], queries: Sequence[Query]) -> dict[str, int | None]:
    """By model, how many of the queries it was trained on; None where that is no longer known.

    Models that lie in no run of ours, and runs on the hub's data, are left out.
    """
    found: dict[str, int | None] = {}
    for name, path in models.items():
        run = next((p for p in path.absolute().parents[:2] if (p / MANIFEST).is_file()), None)
        if run is not None:
            try:
                trained = _trained_ids(RunDirectory(run))
            except InputError:
                found[name] = None
            else:
                found[name] = sum(query.id in trained for query in queries)
    return {name: count for name, count in found.items() if count != 0}


def _trained_ids(run: RunDirectory) -> set[str]:
    manifest = run.manifest()
    groups = manifest["sources"].get("groups")
    if groups is not None:
        return {group.query.id for group in read_groups(groups["name"])}
    recipe = manifest["recipe"]
    if not isinstance(recipe.get("queries"), dict):
        return set()
    section = Data.model_validate(recipe["queries"])
    if section.dataset:
        return set()
    return {query.id for query in inputs.queries(section, recipe.get("seed", 0))}
