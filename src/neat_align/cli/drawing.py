"""What the commands that draw responses have in common: decoding, and the steering pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from neat_align.cli.warnings import warn
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.prompts.prohibition import prohibition_warnings
from neat_align.prompts.steering import Steering, no_steering

Force = Annotated[
    bool,
    typer.Option("--force", help="Train although the steering pair does not steer when tried."),
]

if TYPE_CHECKING:
    from neat_align.sampling.base import Decoding


def decoding_of(
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    top_k: int,
    min_p: float,
    stop_strings: Sequence[str] | None,
) -> Decoding:
    """The decoding that options ask for.

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


def steering_pair(
    value: str | None, needed_for: str | None
) -> tuple[Steering | None, list[InputError]]:
    """The pair that `--steering` names, with a warning where it forbids; or what is wrong.

    Args:
        needed_for: what cannot be done without one; None where nothing needs it.
    """
    if value is None:
        return None, [no_steering(needed_for, "--steering")] if needed_for else []
    try:
        pair = Steering.from_value(value)
    except InputError as error:
        return None, [error]
    warn(prohibition_warnings(pair))
    return pair, []
