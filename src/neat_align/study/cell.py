"""A cell of a comparison: one alignment and its evaluation, with what it is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neat_align.recipe import Recipe
from neat_align.recipe.section import Section
from neat_align.storage.identity import Sources, identity
from neat_align.workflow.places import Role, heldout_training

Split = Literal["development", "test"]


@dataclass(frozen=True)
class Cell:
    """One alignment and its evaluation.

    Attributes:
        variant: the part of the study: "main", or one of the recipe's variants.
        setting: what of the method's settings it uses, by dotted key.
        recipe: all that decides its result, but for what it names:
        sources: that, with its content when the comparison was planned.
    """

    variant: str
    method: str
    setting: Mapping[str, Any]
    split: Split
    recipe: Recipe
    sources: Sources = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def name(self) -> str:
        """Readable, and different whenever anything in the recipe, or what it names, is."""
        what = digest([self.method, self.split, _content(self.recipe, self.sources)])
        return f"{self.split}-{self.method}-{self.seed}-{what}"


def artefacts(cell: Cell) -> dict[Role, str]:
    """Name the models that a cell's recipe trains, by role.

    A name holds all that decides the weights, so cells share what they have in common.
    """
    recipe, sources = cell.recipe, cell.sources
    base: Any = _content(recipe.model, sources, "model")
    names: dict[Role, str] = {}
    if recipe.model.from_scratch:
        base = digest([base, recipe.seed])
        names["model"] = f"model-{recipe.seed}-{base}"
    if recipe.reward.train:
        section = _content(recipe.reward.train, sources, "reward.train")
        names["reward"] = f"reward-{recipe.seed}-{digest([base, section, recipe.seed])}"
    if heldout := heldout_training(recipe):
        section = _content(heldout, sources, "evaluate.heldout_reward")
        what = digest([base, section, recipe.seed, "heldout"])
        names["heldout"] = f"heldout-{recipe.seed}-{what}"
    return names


def digest(value: Any) -> str:
    """Return ten characters that change with the content."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _content(section: Section, sources: Sources, place: str = "") -> dict[str, Any]:
    """Tell what a section says beyond its defaults (a new key with one changes no name).

    What it names stands there by content.
    """
    start = f"{place}." if place else ""
    inside = {
        key.removeprefix(start): source for key, source in sources.items() if key.startswith(start)
    }
    return identity(section.model_dump(mode="json", exclude_defaults=True), inside)
