"""The cells of a comparison, and the recipe of each.

A cell is one alignment and its evaluation: a method in one of its settings, on one seed's
base and rewards. Tuning cells run on a seed of their own and on development queries, test
cells on the report's seeds and on test queries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.prompts.steering import Steering
from neat_align.provenance import recorded
from neat_align.recipe import (
    Recipe,
    RewardTraining,
    check_recipe,
    recipe_from,
    recipe_sources,
    reward_imports,
)
from neat_align.recipe.load import apply_override
from neat_align.recipe.schema import Section, steering_texts
from neat_align.storage.identity import Sources, identity
from neat_align.study.methods import (
    PROMPT,
    RATE,
    UNTRAINED,
    Method,
    load_methods,
    repeated_methods,
    unknown_methods,
)

MAIN = "main"
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
        tune: settings a method, tried on the tuning seed.
    """

    recipe: Recipe
    variants: tuple[Variant, ...]
    tune: int
    cache: dict[str, Cell] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def plan(cls, recipe: Recipe, methods: Sequence[str], seeds: Sequence[int], tune: int) -> Grid:
        """The grid of a recipe, checked as a whole before anything is loaded.

        Args:
            methods: names; those of the recipe's `compare` section when empty.
            seeds: of the main part.
            tune: settings a method; 1 tries nothing and takes the first.

        Raises:
            RecipeError, SeveralErrors: an unknown or repeated method, a repeated seed, the
                tuning seed among the seeds, no evaluation, too many settings, a method that
                does not get what it needs, or anything wrong with a cell's recipe.
        """
        compare = recipe.compare
        asked_for = list(methods) or (compare.methods if compare else [])
        names = [*asked_for, *(n for v in _variants(recipe) for n in v.methods if not methods)]
        raise_all(
            [
                *_problems(recipe, seeds, tune),
                *repeated_methods(asked_for),
                *unknown_methods(names),
            ]
        )
        assert compare is not None
        main = [load_methods()[name] for name in asked_for]
        variants = [Variant(MAIN, (), tuple(main), tuple(seeds))]
        asked = {m.name for m in main}
        for name, section in compare.variants.items():
            own = [load_methods()[n] for n in section.methods if not methods or n in asked]
            variants.append(
                Variant(name, tuple(section.overrides), tuple(own), tuple(seeds[: section.seeds]))
            )
        grid = cls(recipe, tuple(v for v in variants if v.methods), tune)
        problems = grid._cell_problems() or reward_imports(recipe)
        raise_all(problems or grid._held_out_problems())
        return grid

    @property
    def tuned_methods(self) -> list[Method]:
        """Every method that is tuned for itself or for a control, once."""
        asked = [m for v in self.variants for m in v.methods if m.name not in UNTRAINED]
        known = load_methods()
        found = [known[m.tuned_as] if m.tuned_as else m for m in asked]
        return list({m.name: m for m in found}.values())

    def tuning_cells(self, method: Method) -> list[Cell]:
        """The settings of a method, on the tuning seed and development queries."""
        assert self.recipe.compare is not None
        if self.tune < 2:
            return []
        seed = self.recipe.compare.tuning_seed
        return [
            self._cell(MAIN, (), method, setting, "development", seed)
            for setting in method.settings(self.tune, self._rate)
        ]

    def test_cells(
        self, variant: Variant, method: Method, setting: Mapping[str, Any]
    ) -> list[Cell]:
        """A method in its chosen setting, on every seed of a variant."""
        return [
            self._cell(variant.name, variant.overrides, method, setting, "test", seed)
            for seed in variant.seeds
        ]

    def first_setting(self, method: Method) -> dict[str, Any]:
        """What is used when nothing is tuned."""
        if method.tuned_as:
            return self.first_setting(load_methods()[method.tuned_as])
        return {} if method.name in UNTRAINED else method.settings(1, self._rate)[0]

    def to_json(self) -> dict[str, Any]:
        """What makes two grids the same."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "methods": {v.name: [m.name for m in v.methods] for v in self.variants},
            "seeds": {v.name: list(v.seeds) for v in self.variants},
            "tune": self.tune,
        }

    @property
    def _rate(self) -> float:
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
            assert self.recipe.compare is not None
            development = self.recipe.compare.development
            content["evaluate"]["queries"] = development.queries.model_dump(mode="json")
            if development.negative_prompts:
                content["steering"] = _with_held_back(
                    content["steering"], development.negative_prompts
                )
        return recipe_from(content)

    def _cell_problems(self) -> list[InputError]:
        """What is wrong with any cell's recipe, each thing once."""
        from neat_align.workflow.stages import needs

        found: dict[str, InputError] = {}
        for variant in self.variants:
            for method in variant.methods:
                if method in self.tuned_methods and self.tune > 1:
                    method.settings(self.tune, self._rate)  # refuses a ladder that is too short
                (cell, *_) = self.test_cells(variant, method, self.first_setting(method))
                problems = check_recipe(cell.recipe)
                if method.name == PROMPT and not problems and not cell.recipe.pair.positive:
                    problems = [_no_positive(cell.recipe)]
                if method.name not in UNTRAINED:
                    problems = problems or needs(cell.recipe)
                for problem in problems:
                    found.setdefault(str(problem), problem)
        return list(found.values())

    def _held_out_problems(self) -> list[InputError]:
        """Queries that are both trained and measured on, in any variant, each thing once."""
        from neat_align.workflow.inputs import held_out_problems

        found: dict[str, InputError] = {}
        for overrides in {variant.overrides for variant in self.variants}:
            content = self.recipe.model_dump(mode="json")
            for override in overrides:
                apply_override(content, override)
            for problem in held_out_problems(recipe_from(content)):
                found.setdefault(str(problem), problem)
        return list(found.values())


def artefacts(cell: Cell) -> dict[str, str]:
    """The names of the models that a cell's recipe trains, by role: model, reward, heldout.

    A name holds all that decides the weights, so cells share what they have in common.
    """
    recipe, sources = cell.recipe, cell.sources
    base: Any = _content(recipe.model, sources, "model")
    names: dict[str, str] = {}
    if recipe.model.from_scratch:
        base = digest([base, recipe.seed])
        names["model"] = f"model-{recipe.seed}-{base}"
    if recipe.reward.train:
        section = _content(recipe.reward.train, sources, "reward.train")
        names["reward"] = f"reward-{recipe.seed}-{digest([base, section, recipe.seed])}"
    heldout = recipe.evaluate.heldout_reward if recipe.evaluate else None
    if isinstance(heldout, RewardTraining):
        section = _content(heldout, sources, "evaluate.heldout_reward")
        what = digest([base, section, recipe.seed, "heldout"])
        names["heldout"] = f"heldout-{recipe.seed}-{what}"
    return names


def _content(section: Section, sources: Sources, place: str = "") -> dict[str, Any]:
    """What a section says beyond its defaults (a new key with a default changes no name).

    What it names stands there by content.
    """
    start = f"{place}." if place else ""
    inside = {
        key.removeprefix(start): source for key, source in sources.items() if key.startswith(start)
    }
    return identity(section.model_dump(mode="json", exclude_defaults=True), inside)


def digest(value: Any) -> str:
    """Ten characters that change with the content."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _no_positive(recipe: Recipe) -> InputError:
    return RecipeError(
        f"method 'prompt' with steering {recipe.pair.name!r}",
        "the pair has no positive prompt to put before the queries",
        "say what is wanted under steering.positive, or leave the method out",
    )


def _variants(recipe: Recipe) -> list[Any]:
    return list(recipe.compare.variants.values()) if recipe.compare else []


def _with_held_back(steering: str | dict[str, Any], negative: Sequence[str]) -> dict[str, Any]:
    """The steering pair with development prompts in place of the held-back ones."""
    pair = Steering.from_value(steering_texts(steering))
    return {
        "name": pair.name,
        "version": pair.version,
        "about": pair.about,
        "positive": list(pair.positive),
        "negative": list(pair.negative),
        "held_back": {"negative": list(negative)},
    }


def _without(recipe: Recipe) -> RecipeError:
    """What of a comparison's two sections is missing, and how it is written."""
    written = {
        "compare": "compare: {development: {queries: FILE}}",
        "evaluate": "evaluate: {queries: FILE}",
    }
    missing = [name for name in written if getattr(recipe, name) is None]
    return RecipeError(
        f"a recipe without {' and '.join(f'`{name}`' for name in missing)}",
        "a comparison chooses settings on development queries and reports on others, those of "
        "`evaluate`",
        f"add {' and '.join(written[name] for name in missing)}, with files of your own",
    )


def _problems(recipe: Recipe, seeds: Sequence[int], tune: int) -> list[InputError]:
    errors: list[InputError] = []
    if recipe.compare is None or recipe.evaluate is None:
        errors.append(_without(recipe))
    elif recipe.compare.tuning_seed in seeds:
        errors.append(
            RecipeError(
                f"seed {recipe.compare.tuning_seed} among the seeds",
                "settings are chosen on that seed's base; it must not be reported on",
                "leave it out, or change compare.tuning_seed",
            )
        )
    repeated = sorted({seed for seed in seeds if list(seeds).count(seed) > 1})
    if repeated:
        errors.append(
            RecipeError(
                f"seed {', '.join(map(str, repeated))} twice",
                "the same run twice would count as two",
                "give each seed once",
            )
        )
    if not seeds or tune < 1:
        errors.append(
            RecipeError(
                f"{len(seeds)} seeds and {tune} settings a method",
                "there is nothing to run",
                "ask for one or more of each",
            )
        )
    return errors


__all__ = ["MAIN", "RATE", "Cell", "Grid", "Variant", "artefacts", "digest"]
