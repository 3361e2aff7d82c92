"""What models were aligned with, as their directories and runs tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RecipeError, SteeringError
from neat_align.prompts.chat.chat_template import KWARGS
from neat_align.prompts.steering import STEERING_FILE, Steering, no_steering, saved_steering
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import MANIFEST, RunDirectory


def known_pair(models: Mapping[str, Path], needed: bool) -> Steering | None:
    """Return the pair that the models were aligned with; None where none tells, if it may be so.

    Raises:
        RecipeError: none of them tells, and one is needed.
        SteeringError: they were aligned with different ones.
    """
    known = {name: pair for name, path in models.items() if (pair := _aligned_with(path))}
    if not known:
        if needed:
            raise no_steering(f"an evaluation of {', '.join(models)}", "--steering")
        return None
    first, *others = known.values()
    if any(pair != first for pair in others):
        raise SteeringError(
            "models aligned with different steering: "
            + ", ".join(f"{name} ({pair.name})" for name, pair in known.items()),
            "one pair is put to all of them",
            "give the one to evaluate with: --steering",
        )
    return first


def arguments_of_runs(
    models: Mapping[str, Path],
) -> tuple[Mapping[str, Any], list[InputError]]:
    """Return the chat template's arguments of the models' runs; or that they differ."""
    known = {name: found for name, path in models.items() if (found := _run_arguments(path))}
    if not known:
        return {}, []
    first, *others = known.values()
    if all(found == first for found in others):
        return first, []
    given = ", ".join(f"{name} ({json.dumps(found)})" for name, found in known.items())
    why = "one set of arguments is given to all of them"
    fix = "give the one to evaluate with: --chat-template-kwargs"
    return {}, [RecipeError(f"models aligned with different {KWARGS}: {given}", why, fix)]


def _run_arguments(path: Path) -> dict[str, Any]:
    """Read what the run that a policy lies in gave to the chat template."""
    if not (path.parent / MANIFEST).is_file():
        return {}
    model = read_json(path.parent / MANIFEST).get("recipe", {}).get("model")
    return dict(model.get(KWARGS) or {}) if isinstance(model, dict) else {}


def _aligned_with(path: Path) -> Steering | None:
    """Read what lies beside a policy's weights, or else in the run that it belongs to."""
    if (path / STEERING_FILE).is_file():
        return saved_steering(path)
    manifest = path.parent / MANIFEST
    if not manifest.is_file():
        return None
    sources = RunDirectory(path.parent).manifest()["sources"].values()
    return next((Steering(**source["pair"]) for source in sources if "pair" in source), None)
