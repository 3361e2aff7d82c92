"""Where a recipe's paths begin: at the folder of the recipe's file.

An override on the command line begins where one stands, and so does a recipe without a file
(a built-in one, a mapping in Python). Names of the hub, of modules and of what the package
holds stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RecipeError
from neat_align.models.named import is_named
from neat_align.models.source import looks_local
from neat_align.prompts.steering import STEERING_SUFFIXES, steering_names
from neat_align.scoring import Takes, by_name, named_scorers
from neat_align.storage.paths import exists, is_file

Rule = Callable[["Paths", Any, str], Any]


class Paths:
    """Makes paths whole, and gathers those that lie elsewhere than they should.

    Args:
        base: the folder where paths begin.
    """

    def __init__(self, base: Path) -> None:
        self.base = base.absolute()
        self.problems: list[InputError] = []

    def path(self, value: Any, place: str) -> Any:
        """Make the path of a file or directory whole."""
        if not isinstance(value, str) or not value:
            return value
        own = Path(value).expanduser()
        whole = os.path.normpath(self.base / own)
        if not exists(whole) and not own.is_absolute():
            self._look_elsewhere(value, place)
        return whole

    def model(self, value: Any, place: str) -> Any:
        """Make a model's directory or file whole; a hub id stays, unless it is something here."""
        if not isinstance(value, str):
            return value
        if exists(self.base / value) or (looks_local(value) and not is_named(value)):
            return self.path(value, place)
        self._look_elsewhere(value, place)
        return value

    def scorer(self, value: Any, place: str) -> Any:
        """Make the path in a reward, a checker or an embedder whole; or in several."""
        if isinstance(value, list):
            return self.scorers(value, place)
        if not isinstance(value, str):
            return value
        if by_name(value) is not None:
            name, equals, argument = value.partition("=")
            return name + equals + self.argument(name, argument, place)
        where, colon, function = value.rpartition(":")
        if not colon:
            return self.model(value, place)
        return f"{self.path(where, place)}:{function}" if where.endswith(".py") else value

    def checker(self, value: Any, place: str) -> Any:
        """Make the path in a checker whole; one that has a name stays."""
        return self.scorer(value, place) if isinstance(value, str) and ":" in value else value

    def argument(self, name: str, value: Any, place: str) -> Any:
        """Make whole what stands behind a named scorer's "=", or as the value of its key."""
        kind = named_scorers()[name]
        if not isinstance(value, str) or value == kind.usual or not value:
            return value
        if kind.takes is Takes.MODEL:
            return self.scorer(value, place)
        in_place = value.lstrip().startswith("{")
        return self.path(value, place) if kind.takes is Takes.FILE and not in_place else value

    def code(self, value: Any, place: str) -> Any:
        """Make the file of "file.py:Name" whole; other names stay as they are."""
        where, _, name = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        return f"{self.path(where, place)}:{name}" if where.endswith(".py") else value

    def scorers(self, value: Any, place: str) -> Any:
        """Make the paths in a list of rewards whole."""
        return [self.scorer(v, place) for v in value] if isinstance(value, list) else value

    def steering(self, value: Any, place: str) -> Any:
        """Make a steering file's path whole; a built-in pair's name stays."""
        if not isinstance(value, str) or value in steering_names():
            return value
        if value.lower().endswith(STEERING_SUFFIXES) or is_file(self.base / value):
            return self.path(value, place)
        if is_file(value):
            self._look_elsewhere(value, place)
        return value

    def settings(self, value: Any, place: str) -> Any:
        """Make the path of a file of settings whole; a name without a suffix is none."""
        return self.path(value, place) if isinstance(value, str) and Path(value).suffix else value

    def _look_elsewhere(self, value: str, place: str) -> None:
        here = Path.cwd()
        if here == self.base or not exists(here / value):
            return
        there = os.path.relpath(here / value, self.base)
        self.problems.append(
            RecipeError(
                f"{place}: {value!r}",
                f"paths in a recipe begin at its folder, and {self.base} holds none of that "
                f"name; one lies where you stand, in {here}",
                f"write {there} in the recipe, or give {place}={value} on the command line",
            )
        )


DATA = (
    "queries", "model.from_scratch.data", "reward.train.data", "evaluate.queries",
    "evaluate.perplexity", "evaluate.during_training", "evaluate.heldout_reward.data",
    "compare.development.queries",
)  # fmt: skip
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(DATA, Paths.path),  # a text in place of the section is its path
    **{f"{place}.path": Paths.path for place in DATA},
    "model": Paths.model,
    "model.path": Paths.model,
    "steering": Paths.steering,
    "steering.name": Paths.steering,
    "objective": Paths.code,
    "objective.name": Paths.code,
    "reward": Paths.scorer,  # in place of the section
    "reward.model": Paths.scorer,
    "reward.functions": Paths.scorers,
    "reward.judge.journal": Paths.path,
    "evaluate.heldout_reward": Paths.scorer,
    "evaluate.rule": Paths.scorer,
    "evaluate.checker": Paths.checker,
    "train.deepspeed": Paths.settings,
    "train.fsdp_config": Paths.settings,
    "train.accelerator_config": Paths.settings,
}
"""Dotted key → how its value is made whole; a key that holds a section is left alone."""
TASK = re.compile(r"evaluate\.tasks\.[^.]+(\.path)?")


def whole_paths(content: Any, paths: Paths, place: str = "") -> Any:
    """Return a recipe's content with its paths made whole."""
    if isinstance(content, Mapping):
        own_texts = place == "steering" and not set(content) <= {"name", "try_queries"}
        return {
            key: value if own_texts else whole_paths(value, paths, f"{place}.{key}".lstrip("."))
            for key, value in content.items()
        }
    section, _, key = place.rpartition(".")
    if section == "reward" and key in named_scorers():
        return paths.argument(key, content, place)
    rule = Paths.path if TASK.fullmatch(place) else RULES.get(place)
    return rule(paths, content, place) if rule else content
