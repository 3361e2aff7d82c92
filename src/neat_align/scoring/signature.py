"""Which arguments a reward function gets, and which it asks for in vain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from neat_align.errors import RewardError, nearest

INPUTS = ("prompts", "completions", "completion_ids")
GIVEN = (*INPUTS, "trainer_state", "log_extra", "log_metric")


def call_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any], given: str
) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments of a call.

    TRL passes everything; a function without **kwargs gets what it names.

    Raises:
        RewardError: it needs an argument that there is none of.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins do not tell
        return [], dict(arguments)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind in _BY_NAME]
    if problem := missing_problem(given, needed, arguments):
        raise problem
    positional = [
        arguments.get(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_ONLY
    ]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        taken = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
        return positional, {n: v for n, v in arguments.items() if n not in taken}
    named = {p.name for p in parameters if p.kind in _NAMED}
    return positional, {n: v for n, v in arguments.items() if n in named}


def missing_problem(
    given: str, needed: Sequence[str], known: Collection[str]
) -> RewardError | None:
    """The error of a function that needs what is no column and not given to every function."""
    missing = [name for name in needed if name not in known]
    if not missing:
        return None
    columns = sorted(set(known) - set(GIVEN))
    has = f"the columns {', '.join(columns)}" if columns else "no further columns"
    hint = nearest(missing[0], [*INPUTS, *columns])
    return RewardError(
        given,
        f"it needs the argument{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}, and is "
        f"given {', '.join(INPUTS)} and the columns of the queries ({has} here)",
        f"{hint if hint.startswith('did') else 'rename it'}; or write "
        "def f(completions, **kwargs), which returns one number for each completion",
    )


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_NAME = (*_NAMED, inspect.Parameter.POSITIONAL_ONLY)
