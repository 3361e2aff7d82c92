"""The fields of transformers' `TrainingArguments`, known without importing torch.

`trainer_arguments.json` holds them as the version has them that its first line names;
`scripts/trainer_arguments.py` writes it. Where another version is installed, the class itself is
imported and asked: that takes seconds, and is right.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from enum import Enum
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

FILE = "trainer_arguments.json"


@cache
def trainer_table() -> dict[str, Any]:
    """Return the installed version's table: `transformers`, `fields` and `names`.

    `fields` maps a name to its `type` as written, its `help` and, where it can be told, its
    `default`; `names` maps an enumeration, or `report_to`, to the names that it allows.
    """
    text = files("neat_align").joinpath("training", FILE).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table if table["transformers"] == version("transformers") else installed_table()


def installed_table() -> dict[str, Any]:
    """Make the table from the class; imports transformers, and so torch."""
    import transformers
    from transformers import trainer_utils, training_args
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    enumerations: list[type[Enum]] = [
        trainer_utils.SchedulerType,
        training_args.OptimizerNames,
        trainer_utils.IntervalStrategy,
        trainer_utils.SaveStrategy,
        trainer_utils.HubStrategy,
    ]
    # Not those of the fields, into which `HfArgumentParser` writes others.
    kinds = inspect.get_annotations(transformers.TrainingArguments)
    return {
        "transformers": transformers.__version__,
        "fields": {
            field.name: _described(field, kinds[field.name])
            for field in dataclasses.fields(transformers.TrainingArguments)
            if field.init
        },
        "names": {
            **{kind.__name__: [str(member.value) for member in kind] for kind in enumerations},
            "report_to": list(INTEGRATION_TO_CALLBACK),
        },
    }


def _described(field: dataclasses.Field[Any], kind: Any) -> dict[str, Any]:
    help_ = " ".join(str(field.metadata.get("help", "")).split())
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if isinstance(default, Enum):
        default = default.value
    known = default is None or isinstance(default, str | int | float | list | dict)
    about = {"type": _as_written(kind), "help": help_.partition(". ")[0].rstrip(".")}
    return {**about, "default": default} if known else about


def _as_written(kind: Any) -> str:
    """Write a type as source does: `int | None`, without the names of modules."""
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__name__
    parts = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " | ".join("None" if part is type(None) else _as_written(part) for part in parts)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(kind))
