"""Choose an objective by its name, or as one's own: "file.py:Name", "package.module:Name".

No torch is imported before a class of one's own is loaded, so that a recipe is checked at
once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from neat_align.errors import InputError, RecipeError, nearest
from neat_align.objectives import OBJECTIVES, Objective
from neat_align.objectives.base import broken_limits
from neat_align.scoring import check_scorer_value
from neat_align.scoring.raised import RAISED, told
from neat_align.scoring.user_files import import_file

DEFAULT = "neat"


def is_own(name: str) -> bool:
    """Tell whether a name is that of a class in a user's file or module."""
    return ":" in name


def objective_class(name: str) -> type[Objective]:
    """Find an objective's class; one's own is imported.

    Raises:
        RecipeError: there is none of that name, or importing it failed.
    """
    if is_own(name):
        return _own_class(name)
    if name not in OBJECTIVES:
        why = "there is no such objective"
        raise RecipeError(f"objective {name!r}", why, nearest(name, OBJECTIVES))
    return OBJECTIVES[name]


def objective_problems(section: Mapping[str, Any]) -> list[InputError]:
    """List what is wrong with an objective's name and parameters, before anything is imported.

    One's own is only looked for; `own_problems` says the rest.
    """
    name = str(section.get("name", DEFAULT))
    if is_own(name):
        found = check_scorer_value(name, reward=False)
        return [RecipeError(f"objective {name!r}", p.why, p.fix) for p in found]
    try:
        return argument_problems(objective_class(name), section)
    except RecipeError as unknown:
        return [unknown]


def own_problems(section: Mapping[str, Any]) -> list[InputError]:
    """Import one's own objective, and list what is wrong with its parameters and its promises.

    This runs the user's file: for after the other checks, and before any model is loaded.
    """
    name = str(section.get("name", DEFAULT))
    if not is_own(name):
        return []
    try:
        problems = argument_problems(objective_class(name), section)
        return problems or contract_problems(name, make_objective(section))
    except RecipeError as problem:
        return [problem]


def contract_problems(name: str, objective: Objective) -> list[InputError]:
    """List the promise that an objective breaks, or what it raised instead."""
    from neat_align.objectives.contract import check_objective

    try:
        check_objective(objective)
    except AssertionError as broken:
        fix = "correct it; neat_align.check_objective shows where"
        return [RecipeError(f"objective {name!r}", f"it breaks a promise: {broken}", fix)]
    except RAISED as error:
        fix = "correct it; neat_align.check_objective calls it by hand"
        return [RecipeError(f"objective {name!r}", told(error), fix)]
    return []


def make_objective(section: Mapping[str, Any]) -> Objective:
    """Make the objective that a section names, with its parameters.

    Raises:
        RecipeError: there is none of that name, or it does not take such parameters.
    """
    kind = objective_class(str(section.get("name", DEFAULT)))
    return with_arguments(kind, objective_arguments(kind, section))


def with_arguments(kind: type[Objective], arguments: Mapping[str, Any]) -> Objective:
    """Make an objective of its class and parameters.

    Raises:
        RecipeError: it does not take such parameters.
    """
    try:
        return kind(**arguments)
    except RAISED as error:
        given = f"objective {kind.__name__} with {dict(arguments)}"
        known = ", ".join(objective_parameters(kind)) or "none"
        raise RecipeError(given, str(error), f"its parameters are: {known}") from error


def objective_arguments(kind: type[Objective], section: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a section's parameters into what the class wants: "1e-2" is a number."""
    hints = objective_parameters(kind)
    return {
        key: float(value)
        if value is not None and _is_number(hints.get(key))
        else _word(value, hints.get(key))
        for key, value in section.items()
        if key != "name"
    }


def objective_parameters(kind: type[Objective]) -> dict[str, Any]:
    """List the parameters of an objective, with their types; `Any` where none is declared."""
    try:
        hints = get_type_hints(kind)
    except (NameError, TypeError):  # names that only a type checker sees
        hints = {}
    return {name: hints.get(name, Any) for name in inspect.signature(kind).parameters}


def argument_problems(kind: type[Objective], section: Mapping[str, Any]) -> list[InputError]:
    """List the parameters that an objective does not have, or cannot work with."""
    known, errors = objective_parameters(kind), list[InputError]()
    for key, value in section.items():
        place = f"objective.{key}"
        if key == "name":
            continue
        if key not in known:
            why = f"{kind.name} has no such parameter"
            errors.append(RecipeError(place, why, nearest(str(key), [*known, "name"])))
        elif problem := _type_problem(_word(value, known[key]), known[key]):
            errors.append(RecipeError(f"{place}: {value!r}", problem, "correct the value"))
    return errors or parameter_problems(kind, objective_arguments(kind, section))


def parameter_problems(kind: type[Objective], values: Mapping[str, Any]) -> list[InputError]:
    """List the numbers that an objective cannot work with."""
    return [
        RecipeError(f"objective.{key}: {value!r} of {kind.name}", limit.why, limit.fix)
        for key, value, limit in broken_limits(kind, values)
    ]


def _own_class(value: str) -> type[Objective]:
    where, _, name = value.rpartition(":")
    given = f"objective {value!r}"
    for problem in check_scorer_value(value, reward=False):
        raise RecipeError(given, problem.why, problem.fix)
    try:
        module = import_file(Path(where)) if where.endswith(".py") else import_module(where)
    except RAISED as error:
        why = f"importing {where}: {told(error, str(Path(where).absolute()))}"
        raise RecipeError(given, why, "import it by hand and correct it") from error
    found = getattr(module, name, None)
    if not isinstance(found, type) or not issubclass(found, Objective):
        why = f"{name} is no subclass of neat_align.Objective"
        raise RecipeError(given, why, "name a class like those of neat_align.objectives")
    if not isinstance(getattr(found, "name", None), str):
        why = f"{name} has no `name`, which logs and pages show"
        raise RecipeError(given, why, f'write name = "{name.lower()}" in the class')
    return found


def _word(value: Any, hint: Any) -> Any:
    """Take false for "off" where that is a choice: YAML reads the bare word so."""
    return "off" if value is False and "off" in get_args(hint) else value


def _is_number(hint: Any) -> bool:
    return float in (hint, *get_args(hint))


def _type_problem(value: Any, hint: Any) -> str:
    if value is None and type(None) in get_args(hint):
        return ""
    if _is_number(hint):
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            return "it is not a number"
        return "" if not isinstance(value, bool) else "it is not a number"
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        return "" if value in allowed else nearest(str(value), [str(a) for a in allowed])
    return "it is not true or false" if hint is bool and not isinstance(value, bool) else ""
