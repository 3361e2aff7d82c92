"""Methods as data: `methods.yaml` says what each changes in a recipe, and what is tried.

A method is an objective with a way to choose groups. It is laid over a recipe, so every
method runs through the same loop, on the same model, queries and rewards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import yaml

from neat_align.errors import InputError, RecipeError, nearest, raise_all
from neat_align.objectives import OBJECTIVES
from neat_align.recipe import Recipe, recipe_from
from neat_align.training.objective_choice import objective_parameters

BASE, PROMPT = "base", "prompt"
UNTRAINED = (BASE, PROMPT)  # what these are is evaluated as it is
RATE = "train.learning_rate"
REWARD_UNITS = ("min_gap", "gap_scale")
"""Parameters of an objective that are in the units of the recipe's reward: they stay its own."""
OWN_KEYS = ("about", "search", "rates", "tuned_as")


@dataclass(frozen=True)
class Method:
    """What a method is, and what is tried when it is tuned.

    Attributes:
        name: how tables call it.
        about: one line.
        overlay: sections laid over a recipe; `objective` replaces all but what is in reward
            units, the others merge.
        rates: factors of the recipe's learning rate, the likeliest first.
        search: values of the method's own weights by dotted key, the likeliest first.
        tuned_as: the method whose chosen setting this one takes over: a control.
    """

    name: str
    about: str
    overlay: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = (1.0,)
    search: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tuned_as: str | None = None

    def settings(self, count: int, base_rate: float) -> list[dict[str, Any]]:
        """List the first `count` settings: corners near the likeliest values come first.

        Args:
            base_rate: the recipe's learning rate.

        Raises:
            RecipeError: the method has fewer.
        """
        keys = [RATE, *self.search]
        ladders = [[rate * base_rate for rate in self.rates], *self.search.values()]
        places = sorted(product(*(range(len(x)) for x in ladders)), key=lambda p: (max(p), sum(p)))
        if count > len(places):
            raise RecipeError(
                f"{count} settings for {self.name}",
                f"it lists {len(places)}",
                f"tune at most {len(places)}, or add values in the recipe's compare section",
            )
        return [
            {key: ladder[i] for key, ladder, i in zip(keys, ladders, place)}
            for place in places[:count]
        ]

    def applied(self, content: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
        """Lay this method and one of its settings over the content of a recipe."""
        merged = dict(content)
        for section, values in self.overlay.items():
            own = dict(merged.get(section) or {})
            if section == "objective":
                own = _in_reward_units(own, values)
            merged[section] = {**own, **values}
        for key, value in setting.items():
            section, _, name = key.partition(".")
            merged[section] = {**(merged.get(section) or {}), name: value}
        return merged


def _in_reward_units(own: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a recipe's objective goes with its reward, if the method's has it too."""
    kind = OBJECTIVES.get(str(values.get("name")))
    known = objective_parameters(kind) if kind else {}
    return {name: own[name] for name in REWARD_UNITS if name in own and name in known}


@cache
def load_methods() -> dict[str, Method]:
    """Read the built-in methods, by name."""
    text = files("neat_align").joinpath("study", "methods.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    rates = tuple(content.pop("rates"))
    return {name: _method(name, values, rates) for name, values in content.items()}


def with_method(recipe: Recipe, name: str) -> Recipe:
    """Lay a method over a recipe; its learning rate stays.

    Raises:
        RecipeError: there is no method of that name.
    """
    raise_all(unknown_methods([name]))
    if name in UNTRAINED:
        raise RecipeError(
            f"method {name!r}",
            "it trains nothing, so there is no run of it",
            "the evaluation of every run has it beside the policy; or compare it: "
            f"`neat compare RECIPE --methods {name},neat`",
        )
    content = recipe.model_dump(mode="json")
    return recipe_from(load_methods()[name].applied(content, {}))


def unknown_methods(names: Sequence[str]) -> list[InputError]:
    """Return a problem for each name that no method has, with the nearest known one."""
    known = load_methods()
    return [
        RecipeError(f"method {name!r}", "there is no such method", nearest(name, known))
        for name in dict.fromkeys(names)
        if name not in known
    ]


def repeated_methods(names: Sequence[str]) -> list[InputError]:
    """Return a problem for each name that is asked for more than once."""
    return [
        RecipeError(f"method {name!r}", "it is asked for twice", "name it once")
        for name in dict.fromkeys(names)
        if list(names).count(name) > 1
    ]


def _method(name: str, values: Mapping[str, Any], rates: tuple[float, ...]) -> Method:
    overlay = {k: v for k, v in values.items() if k not in OWN_KEYS}
    search = {key: tuple(tried) for key, tried in values.get("search", {}).items()}
    own_rates = tuple(values.get("rates", rates))
    return Method(name, values["about"], overlay, own_rates, search, values.get("tuned_as"))
