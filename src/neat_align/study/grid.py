"""The cells of a comparison, and the recipe of each.

A cell is one alignment and its evaluation: a method in one of its settings, on one seed's
base and rewards. Tuning cells run on a seed of their own and on development queries, test
cells on the report's seeds and on test queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neat_align.prompts.steering import Steering
from neat_align.provenance import recorded
from neat_align.recipe import Recipe, recipe_from, recipe_sources
from neat_align.recipe.load import apply_override
from neat_align.recipe.schema import Compare, steering_texts
from neat_align.study.cell import Cell, Split, digest
from neat_align.study.methods import UNTRAINED, Method, load_methods
from neat_align.study.sections import compare_section

MAIN = "main"


@dataclass(frozen=True)
class Variant:
    """A part of the study: other data or rewards, on some of the methods and seeds."""

    name: str
    overrides: tuple[str, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """Everything a comparison will run.

    Attributes:
        recipe: with its `compare` section.
        variants: "main" first.
        tune: settings per method, tried on the tuning seed.
    """

    recipe: Recipe
    variants: tuple[Variant, ...]
    tune: int
    cache: dict[str, Cell] = field(default_factory=dict, compare=False, repr=False)

    @property
    def tuned_methods(self) -> list[Method]:
        """Every method that is tuned for itself or for a control, once."""
        asked = [m for v in self.variants for m in v.methods if m.name not in UNTRAINED]
        known = load_methods()
        found = [known[m.tuned_as] if m.tuned_as else m for m in asked]
        return list({m.name: m for m in found}.values())

    def tuning_cells(self, method: Method) -> list[Cell]:
        """List the settings of a method, on the tuning seed and development queries."""
        if self.tune < 2:
            return []
        seed = compare_section(self.recipe).tuning_seed
        return [
            self._cell(MAIN, (), method, setting, "development", seed)
            for setting in method.settings(self.tune, self.rate)
        ]

    def test_cells(
        self, variant: Variant, method: Method, setting: Mapping[str, Any]
    ) -> list[Cell]:
        """List a method in its chosen setting, on every seed of a variant."""
        return [
            self._cell(variant.name, variant.overrides, method, setting, "test", seed)
            for seed in variant.seeds
        ]

    def first_setting(self, method: Method) -> dict[str, Any]:
        """Return what is used when nothing is tuned."""
        if method.tuned_as:
            return self.first_setting(load_methods()[method.tuned_as])
        return {} if method.name in UNTRAINED else method.settings(1, self.rate)[0]

    def to_json(self) -> dict[str, Any]:
        """Return what makes two grids the same."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "methods": {v.name: [m.name for m in v.methods] for v in self.variants},
            "seeds": {v.name: list(v.seeds) for v in self.variants},
            "tune": self.tune,
        }

    @property
    def rate(self) -> float:
        """The recipe's learning rate, which the methods' factors multiply."""
        return float(self.recipe.train.get("learning_rate", 1e-6))

    def _cell(
        self,
        variant: str,
        overrides: Sequence[str],
        method: Method,
        setting: Mapping[str, Any],
        split: Split,
        seed: int,
    ) -> Cell:
        key = digest([variant, method.name, dict(setting), split, seed])
        if key not in self.cache:
            recipe = self._recipe(overrides, method, setting, split, seed)
            sources = recorded(recipe_sources(recipe))
            own = recipe.with_pair(recipe.pair)  # the texts, whatever becomes of their file
            self.cache[key] = Cell(variant, method.name, dict(setting), split, own, sources)
        return self.cache[key]

    def _recipe(
        self,
        overrides: Sequence[str],
        method: Method,
        setting: Mapping[str, Any],
        split: Split,
        seed: int,
    ) -> Recipe:
        content = self.recipe.model_dump(mode="json", exclude={"compare"})
        for override in overrides:
            apply_override(content, override)
        content = {**method.applied(content, setting), "seed": seed, "about": ""}
        if split == "development":
            development = compare_section(self.recipe).development
            content["evaluate"]["queries"] = development.queries.model_dump(mode="json")
            if negative := development.negative_prompts:
                content["steering"] = _with_held_back(content["steering"], negative)
        return recipe_from(content)


def variants_of(compare: Compare, methods: Sequence[str], seeds: Sequence[int]) -> list[Variant]:
    """List the parts of a study; those beside the main one have only methods asked for."""
    known = load_methods()
    asked_for = list(methods) or compare.methods
    variants = [Variant(MAIN, (), tuple(known[name] for name in asked_for), tuple(seeds))]
    for name, section in compare.variants.items():
        own = tuple(known[n] for n in section.methods if not methods or n in asked_for)
        overrides, first = tuple(section.overrides), tuple(seeds[: section.seeds])
        variants.append(Variant(name, overrides, own, first))
    return variants


def _with_held_back(steering: str | dict[str, Any], negative: Sequence[str]) -> dict[str, Any]:
    """Return the steering pair with development prompts in place of the held-back ones."""
    pair = Steering.from_value(steering_texts(steering))
    return {
        "name": pair.name,
        "version": pair.version,
        "about": pair.about,
        "positive": list(pair.positive),
        "negative": list(pair.negative),
        "held_back": {"negative": list(negative)},
    }
