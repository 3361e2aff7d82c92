"""Checking a recipe's objective without importing torch: names and parameters from source."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RecipeError, nearest
from neat_align.training.parameters import parameter_problems

FOLDER = Path(__file__).parent.parent / "objectives"


@cache
def objective_fields() -> dict[str, dict[str, str]]:
    """{objective name: {parameter: annotation as written}}, inherited parameters included."""
    classes = {
        node.name: node
        for path in sorted(FOLDER.glob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    return {name: _fields(node, classes) for node in classes.values() if (name := _name(node))}


def objective_problems(section: Mapping[str, Any]) -> list[InputError]:
    """What is wrong with an objective's name, parameters and their types."""
    name = str(section.get("name", "neat"))
    known = objective_fields()
    if name not in known:
        return [
            RecipeError(f"objective {name!r}", "there is no such objective", nearest(name, known))
        ]
    errors: list[InputError] = []
    for key, value in section.items():
        if key == "name":
            continue
        place = f"objective.{key}"
        if key not in known[name]:
            errors.append(
                RecipeError(
                    place, f"{name} has no such parameter", nearest(key, [*known[name], "name"])
                )
            )
        elif problem := _type_problem(value, known[name][key]):
            errors.append(RecipeError(f"{place}: {value!r}", problem, "correct the value"))
    return errors or parameter_problems(name, objective_arguments(section))


def objective_arguments(section: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as the dataclass wants them: "1e-2" is a number."""
    annotations = objective_fields()[str(section.get("name", "neat"))]
    return {
        key: float(value) if value is not None and "float" in annotations[key] else value
        for key, value in section.items()
        if key != "name"
    }


def _type_problem(value: Any, annotation: str) -> str:
    if value is None and annotation.endswith("| None"):
        return ""
    if annotation.startswith("float"):
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            return "it is not a number"
        return "" if not isinstance(value, bool) else "it is not a number"
    if annotation.startswith("Literal["):
        allowed = ast.literal_eval(annotation.removeprefix("Literal"))
        return "" if value in allowed else nearest(str(value), [str(a) for a in allowed])
    return ""


def _name(node: ast.ClassDef) -> str:
    for item in node.body:
        if (
            isinstance(item, ast.Assign)
            and isinstance(item.targets[0], ast.Name)
            and item.targets[0].id == "name"
            and isinstance(item.value, ast.Constant)
        ):
            return str(item.value.value)
    return ""


def _fields(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> dict[str, str]:
    inherited: dict[str, str] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            inherited |= _fields(classes[base.id], classes)
    own = {
        item.target.id: ast.unparse(item.annotation)
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and not ast.unparse(item.annotation).startswith("ClassVar")
    }
    return inherited | own
