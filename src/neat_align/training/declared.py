"""What a training's settings are called, of what type, with what default and help: without torch.

They are ours (`neat_align.config`) and those of transformers' `TrainingArguments`, whose
defaults ours may replace.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any

from neat_align.config import SETTINGS, TYPES
from neat_align.training.trainer_table import trainer_table

WIDER = {
    "fsdp": "bool | str | list[str] | None",
    "debug": "str | list[DebugOption] | None",  # None is what HfArgumentParser makes of no --debug
}
"""Fields that take more than their annotation says."""

UNKNOWN: Any = object()
"""The default of a field that cannot be told without making one."""


@dataclass(frozen=True)
class Declared:
    """One field: its annotation as written ("int | None"), its default, and what it is."""

    annotation: str
    default: Any
    help: str


@cache
def declared_fields() -> dict[str, Declared]:
    """Return every field by its name; what we declare again is ours."""
    theirs = {
        name: Declared(WIDER.get(name, about["type"]), about.get("default", UNKNOWN), about["help"])
        for name, about in trainer_table()["fields"].items()
    }
    ours = {
        name: _own(field, theirs[name].help if name in theirs else "")
        for name, field in SETTINGS.items()
    }
    return theirs | ours


def allowed_names(of: str) -> tuple[str, ...]:
    """Return the names that one of transformers' enumerations has, or that `report_to` takes."""
    return tuple(trainer_table()["names"][of])


def _own(field: dataclasses.Field[Any], help_of_theirs: str) -> Declared:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return Declared(TYPES[field.name], default, str(field.metadata.get("help") or help_of_theirs))
