"""The options of decoding: one list of them for every command that draws responses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from neat_align.cli.options import MinP, StopStrings, Temperature, Tokens, TopK, TopP
from neat_align.config import NEATSettings
from neat_align.errors import RecipeError, raise_all

if TYPE_CHECKING:
    from neat_align.sampling.base import Decoding

FILLED = "decoding"
"""The parameter of a command in whose place the options stand."""


def decoding_of(
    max_new_tokens: Tokens = NEATSettings.max_new_tokens,
    temperature: Temperature = NEATSettings.temperature,
    top_p: TopP = NEATSettings.top_p,
    top_k: TopK = NEATSettings.top_k,
    min_p: MinP = NEATSettings.min_p,
    stop_strings: StopStrings = None,
) -> Decoding:
    """Return the decoding that the options ask for.

    Raises:
        RecipeError: a value that is outside what it can mean.
    """
    from neat_align.sampling.base import Decoding
    from neat_align.training.settings import setting_problems

    stops = tuple(stop_strings or ())
    decoding = Decoding(max_new_tokens, temperature, top_p, top_k, min_p, stops)
    problems = setting_problems(asdict(decoding))
    if top_p == 0:
        why = "no token is likely enough"
        problems.append(RecipeError("top_p=0", why, "use more than 0; 1 switches it off"))
    raise_all(problems)
    return decoding


def with_decoding(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `decoding_of` in place of its parameter `decoding`."""
    own, options = inspect.signature(command), inspect.signature(decoding_of).parameters

    @wraps(command)
    def filled(**given: Any) -> None:
        asked = {name: given.pop(name) for name in options if name in given}
        command(**given, **{FILLED: decoding_of(**asked)})

    parameters: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        parameters += options.values() if name == FILLED else [parameter]
    hints = {**_hints(command), **_hints(decoding_of)}
    filled.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(annotation=hints[parameter.name]) for parameter in parameters]
    )
    filled.__annotations__ = hints
    return filled


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolve the annotations of a function's options."""
    written = {n: a for n, a in function.__annotations__.items() if n not in (FILLED, "return")}
    resolved = SimpleNamespace(__annotations__=written)
    return get_type_hints(resolved, function.__globals__, include_extras=True)
