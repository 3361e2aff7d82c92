"""Objectives: from the log-probabilities of groups to named loss terms.

To add one, put a file into this folder: a frozen dataclass with a `name`, a subclass of
`Objective`. It is found by being there; recipes, `neat recipe keys` and `NEATTrainer` take
it by its name, and `check_objective` runs on it in the tests. No torch is imported here.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from neat_align.objectives.base import GroupLogps, LossTerms, Objective

if TYPE_CHECKING:
    from neat_align.objectives.contract import check_objective as check_objective
    from neat_align.objectives.neat import NEAT as NEAT


def _found() -> Iterator[type[Objective]]:
    """Find the classes with a `name` of their own in the files of this folder."""
    for module in pkgutil.iter_modules(__path__):
        if module.name == "contract":  # imports torch
            continue
        own = import_module(f"{__name__}.{module.name}")
        for value in vars(own).values():
            is_objective = isinstance(value, type) and issubclass(value, Objective)
            if is_objective and value.__module__ == own.__name__ and "name" in vars(value):
                yield value


OBJECTIVES: dict[str, type[Objective]] = {objective.name: objective for objective in _found()}
"""Every objective by its name."""

_CLASSES = {objective.__name__: objective for objective in OBJECTIVES.values()}

__all__ = ["OBJECTIVES", "GroupLogps", "LossTerms", "Objective", "check_objective", *_CLASSES]


def __getattr__(name: str) -> Any:
    if name == "check_objective":
        return import_module(f"{__name__}.contract").check_objective
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _CLASSES[name]
