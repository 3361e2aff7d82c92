"""The scorers that have a name, found in the folder `named`."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from neat_align.errors import InputError, RewardError
from neat_align.scoring import named
from neat_align.scoring.base import NamedScorer, Scorer, Takes


@dataclass(frozen=True)
class ByName:
    """A named scorer as it was written.

    Attributes:
        kind: its class.
        argument: what stands behind "=", or its `usual` one; None where it has to be given.
    """

    kind: type[NamedScorer]
    argument: str | None

    @property
    def names_model(self) -> bool:
        """Tell whether the argument names a model or a function, which have to be looked at."""
        return self.kind.takes is Takes.MODEL and self.argument != self.kind.usual

    def problems(self) -> list[InputError]:
        """Tell what is wrong, without making it."""
        name, takes = self.kind.name, self.kind.takes
        if self.argument is None:
            why, fix = "it does not say what by", f"write {name}={takes}"
            return [RewardError(f"reward {name!r}", why, fix)]
        if self.argument and takes is Takes.NOTHING:
            given = f"reward '{name}={self.argument[:60]}'"
            return [RewardError(given, f"{name} takes no argument", f"write {name}")]
        return self.kind.problems(self.argument)

    def make(self, device: Any, dtype: str | None) -> Scorer:
        """Make the scorer, which has no problems."""
        return self.kind.make(str(self.argument), device, dtype)

    def content(self, content_of: Callable[[str], Any]) -> Mapping[str, Any]:
        """Tell what decides its scores."""
        return self.kind.content(str(self.argument), content_of)


def named_scorers() -> dict[str, type[NamedScorer]]:
    """List the scorers of the folder by name."""
    found: dict[str, type[NamedScorer]] = {}
    for module in sorted(pkgutil.iter_modules(named.__path__), key=lambda m: m.name):
        place = f"{named.__name__}.{module.name}"
        for kind in vars(import_module(place)).values():
            own = isinstance(kind, type) and kind.__module__ == place
            if own and issubclass(kind, NamedScorer) and hasattr(kind, "about"):
                found[kind.name] = kind
    return found


def by_name(value: str) -> ByName | None:
    """Find the scorer that `name` or `name=ARGUMENT` names; None where it is another reward."""
    name, equals, argument = value.partition("=")
    kind = named_scorers().get(name)
    if kind is None:
        return None
    usual = "" if kind.takes is Takes.NOTHING else kind.usual
    return ByName(kind, argument if equals and argument else usual)


def written(name: str, value: Any) -> str | None:
    """Write a scorer's entry in a recipe, `name: value`, as one text; None where it is off.

    True stands for the bare name, a text for the argument, a mapping for settings in place.
    """
    if value is None or value is False:
        return None
    if value is True:
        return name
    if isinstance(value, Mapping):
        return f"{name}={json.dumps(dict(value), sort_keys=True)}"
    return f"{name}={value}"
