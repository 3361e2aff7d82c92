"""Define every error that a user can cause, in one tree.

    NeatError
    ├── InputError              wrong before any model is loaded (exit code 2)
    │   ├── DataError           a data file or a row of it
    │   ├── RecipeError         a recipe: unknown key, wrong type, out of range
    │   ├── SteeringError       a steering pair that cannot be used
    │   ├── ModelError          a model directory or id that cannot be loaded
    │   ├── RewardError         a reward function or model that cannot be used
    │   ├── OutputError         an output directory that cannot be written
    │   └── SeveralErrors       all the problems found in one pass
    ├── ServerError             a server that refused, or did not answer
    │   └── UnansweredError     one question without an answer; others may have one
    └── TrainingError           wrong while training
        ├── NonFiniteLossError  the loss is NaN or infinite; the batch was saved
        └── NoSignalError       the rewards tell the objective nothing

Each error has three parts: what was *given*, *why* it cannot work, and the *fix*.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class NeatError(Exception):
    """Base class: an error that tells what was given, why it fails and what to do."""

    def __init__(self, given: str, why: str, fix: str) -> None:
        super().__init__(given, why, fix)
        self.given, self.why, self.fix = given, why, fix

    def __str__(self) -> str:
        return f"{self.given}\n  why: {self.why}\n  fix: {self.fix}"


class InputError(NeatError):
    """Something the user gave cannot work; raised before any model is loaded."""


class DataError(InputError):
    """A data file, or one row of it, cannot be used."""


class RecipeError(InputError):
    """A recipe holds an unknown key or an impossible value."""


class SteeringError(InputError):
    """A steering pair is unknown or empty."""


class ModelError(InputError):
    """A model directory or id cannot be loaded."""


class RewardError(InputError):
    """A reward function or reward model failed or answered nonsense."""


class OutputError(InputError):
    """An output directory cannot be used."""


class SeveralErrors(InputError):
    """All the problems of one input, found in one pass."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        self.errors = tuple(errors)
        super().__init__(f"{len(errors)} problems", "see each", "correct them all")

    def __reduce__(self) -> tuple[type[SeveralErrors], tuple[tuple[InputError, ...]]]:
        return SeveralErrors, (self.errors,)  # errors travel between processes

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class ServerError(NeatError):
    """A server refused, or gave no usable answer in any attempt."""


class UnansweredError(ServerError):
    """One request to a server got no answer; the others go on."""


class TrainingError(NeatError):
    """Training cannot go on."""


class NonFiniteLossError(TrainingError):
    """The loss is NaN or infinite; the offending groups were saved."""


class NoSignalError(TrainingError):
    """The scores are such that the objective can learn nothing from them."""


def raise_all(errors: Sequence[InputError]) -> None:
    """Raise nothing, the one error, or all of them as `SeveralErrors`."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralErrors(errors)


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the closest known word, or list all that are known."""
    known = sorted(known)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}?" if match else f"use one of: {', '.join(known)}"


def not_a_group(error: Exception) -> str:
    """Say why a row is no group: the key that it lacks, or what else is wrong in it."""
    lacks = isinstance(error, KeyError)
    return f"not a group: it has no {error}" if lacks else f"not a group: {error}"


def first_line(error: Exception) -> str:
    """Return the first line of a library's error, or else the error's name.

    A line that ends in a colon only announces the next; a bare key says nothing by itself.
    """
    if isinstance(error, KeyError):
        return f"an unknown or missing name: {error}"
    lines = (str(error).strip() or type(error).__name__).splitlines()
    ends = next((n for n, line in enumerate(lines) if not line.rstrip().endswith(":")), 0)
    return " ".join(line.strip() for line in lines[: ends + 1])
