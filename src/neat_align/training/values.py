"""A setting's value as the type that its field declares, from YAML or from Python."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import is_dataclass
from numbers import Integral, Real
from typing import Any

from neat_align.errors import InputError, RecipeError
from neat_align.training.declared import Declared

SECRETS = ("hub_token",)
"""Settings whose value no error may show."""

STRUCTURED = {"dict": Mapping, "list": (list, tuple), "tuple": (list, tuple)}
"""Name of a container in an annotation → what may be given for it."""

PLAIN = {"int", "float", "bool", "str", "None", *STRUCTURED}
"""Annotations that no object of another library fits."""


def convert(value: Any, annotation: str) -> Any:
    """Convert a value to the declared type: 1e-6 is a string to YAML and a float here.

    An unquoted `no` is false to YAML; where a strategy is asked for, it is "no" again.

    Raises:
        ValueError: it cannot be one.
    """
    kinds = _kinds(annotation)
    names = {kind.partition("[")[0] for kind in kinds}
    if value is None and ("None" in names or "Any" in names):
        return None
    if isinstance(value, bool):
        return _flag(value, names)
    if isinstance(value, Mapping | list | tuple):
        return _container(value, kinds, names)
    if isinstance(value, str):
        return _text(value, kinds, names)
    if isinstance(value, Real):
        return _number(value, names)
    if "str" in names and isinstance(value, os.PathLike):
        return os.fspath(value)
    if "str" in names and isinstance(value, datetime.date):  # YAML reads 2025-01-31 as one
        return str(value)
    is_made = "dict" in names and is_dataclass(value)  # by transformers, of such a mapping
    if value is None or (not is_made and names <= PLAIN):
        raise ValueError(f"{value!r} is not {annotation}")
    return value  # an object of another library; the class itself will say


def typed(
    values: Mapping[str, Any], fields: Mapping[str, Declared]
) -> tuple[dict[str, Any], list[InputError]]:
    """Convert settings to the types that their fields declare; list those that cannot be."""
    found: dict[str, Any] = {}
    problems: list[InputError] = []
    for name, value in values.items():
        try:
            found[name] = convert(value, fields[name].annotation)
        except (ValueError, TypeError, OverflowError):
            problems.append(not_of_type(name, value, fields[name].annotation))
    return found, problems


def not_of_type(name: str, value: Any, annotation: str) -> RecipeError:
    """Make the error of a value that is of another type than its field."""
    given = name if name.rpartition(".")[2] in SECRETS else f"{name}={value!r}"
    fix = "correct the value"
    if isinstance(value, bool) and "str" in annotation:
        fix = 'correct it; YAML reads yes, no, on and off as true and false: quote them, "no"'
    return RecipeError(given, f"it is not of the type {annotation}", fix)


def _kinds(annotation: str) -> list[str]:
    return [kind.strip() for kind in annotation.split("|")]


def _flag(value: bool, names: set[str]) -> Any:
    if names & {"bool", "Any"} or (value is False and "Literal" in names):
        return value
    if value is False and any(name.endswith("Strategy") for name in names):
        return "no"
    raise ValueError(f"{value} is none of {', '.join(sorted(names))}")


def _container(value: Any, kinds: list[str], names: set[str]) -> Any:
    for kind in kinds:
        name, _, inside = kind.partition("[")
        if name == "Any" or isinstance(value, STRUCTURED.get(name, ())):
            if inside.startswith("str") and not all(isinstance(v, str) for v in value):
                raise ValueError(f"{value!r} does not hold texts alone")
            return tuple(value) if name == "tuple" else value
    raise ValueError(f"{value!r} is none of {', '.join(sorted(names))}")


def _text(value: str, kinds: list[str], names: set[str]) -> Any:
    if "bool" in names and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if "str" in names or "Any" in names:
        return value
    if "list[str]" in kinds:
        return [value]
    if any(kind.startswith("tuple[str") for kind in kinds):
        return (value,)
    if names & {"int", "float"}:
        return _number(float(value), names)
    raise ValueError(f"{value!r} is none of {', '.join(sorted(names))}")


def _number(value: Any, names: set[str]) -> Any:
    if "float" in names:
        return value if isinstance(value, float) else _plain(value)
    if "int" in names and value == int(value):
        return int(value)
    if "str" in names and "int" not in names:
        return str(value)
    raise ValueError(f"{value} is none of {', '.join(sorted(names))}")


def _plain(value: Any) -> int | float:
    return int(value) if isinstance(value, Integral) else float(value)
