"""What a training's settings are called, read from source without importing torch.

They are the fields of `NEATConfig` and of transformers' `TrainingArguments`. Importing either
takes seconds; reading both takes a few hundredths of one.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from neat_align import defaults

WIDER = {
    "fsdp": "bool | str | list[str] | None",
    "debug": "str | list[DebugOption] | None",  # None is what HfArgumentParser makes of no --debug
}
"""Fields that take more than their annotation says."""

UNKNOWN: Any = object()
"""The default of a field that source alone does not tell."""


@dataclass(frozen=True)
class Declared:
    """One field: its annotation as written ("int | None"), and its default."""

    annotation: str
    default: Any


@cache
def declared_fields() -> dict[str, Declared]:
    """Every field by its name; what `NEATConfig` declares again is its own."""
    ours = _fields(Path(__file__).with_name("config.py"), "NEATConfig")
    return {**_fields(transformers_file("training_args.py"), "TrainingArguments"), **ours}


@cache
def members(file: str, enumeration: str) -> tuple[str, ...]:
    """Read the values of one of transformers' enumerations, e.g. the names of the schedulers."""
    values = (
        node.value.value
        for node in _class(_tree(transformers_file(file)), enumeration).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    )
    return tuple(str(value) for value in values)


@cache
def mapping_keys(file: str, name: str) -> tuple[str, ...]:
    """Read the texts that a dictionary at the top of a module of transformers has as keys."""
    for node in _tree(transformers_file(file)).body:
        names = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(n, ast.Name) and n.id == name for n in names):
            assert isinstance(node, ast.Assign)
            assert isinstance(node.value, ast.Dict)
            return tuple(str(k.value) for k in node.value.keys if isinstance(k, ast.Constant))
    return ()


def transformers_file(name: str) -> Path:
    """Find a file of the installed transformers."""
    spec = importlib.util.find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / name


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return found


def _fields(path: Path, name: str) -> dict[str, Declared]:
    return {
        node.target.id: Declared(
            WIDER.get(node.target.id, ast.unparse(node.annotation)), _default(node.value)
        )
        for node in _class(_tree(path), name).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _default(value: ast.expr | None) -> Any:
    """Read a default as written, alone or in `field(default=…)`."""
    if isinstance(value, ast.Call):
        return next((d for d in _defaults_of_call(value)), UNKNOWN)
    if isinstance(value, ast.Attribute) and ast.unparse(value.value) == "defaults":
        return getattr(defaults, value.attr)
    try:
        return UNKNOWN if value is None else ast.literal_eval(value)
    except ValueError:  # a name or an expression
        return UNKNOWN


def _defaults_of_call(call: ast.Call) -> Iterator[Any]:
    for keyword in call.keywords:
        if keyword.arg == "default":
            yield _default(keyword.value)
        if keyword.arg == "default_factory":
            made = keyword.value
            if isinstance(made, ast.Lambda):
                yield _default(made.body)
            elif isinstance(made, ast.Name) and made.id == "list":
                yield []
