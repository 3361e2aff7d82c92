"""Reward functions in TRL's signature, as scorers.

    f(prompts, completions, completion_ids, **columns, trainer_state, log_extra, log_metric)
        -> list[float | None]

sync or async; None means that the function does not apply. One entry per response:
`prompts` repeats the query, `columns` repeat its meta. A conversational query gives messages,
a plain one strings, as in TRL. What `log_metric` and `log_extra` are told is kept in `notes`.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import math
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from threading import Thread
from typing import Any

from neat_align.errors import RewardError, nearest
from neat_align.scoring.base import Scores
from neat_align.scoring.notes import Notes
from neat_align.scoring.raised import RAISED, told
from neat_align.types import Group

INPUTS = ("prompts", "completions", "completion_ids")
GIVEN = (*INPUTS, "trainer_state", "log_extra", "log_metric")
WANTED = "return one number for each completion, None where it does not apply"
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_NAME = (*_NAMED, inspect.Parameter.POSITIONAL_ONLY)


class RewardFunction:
    """A reward function as a scorer.

    Args:
        function: in TRL's signature, sync or async; a function, a partial, or an object
            that can be called.
        name: of its scores; the function's own name by default.
        file: whose lines errors name; the file of the function by default.

    Attributes:
        notes: what the function told beside its scores.
    """

    def __init__(
        self, function: Callable[..., Any], name: str | None = None, file: str | None = None
    ) -> None:
        self.function = function
        self.name = str(name or callable_name(function))
        self.file = file or _file_of(function)
        self.notes = Notes()

    def score(self, groups: Sequence[Group]) -> Scores:
        """Call the function once, for all responses of all groups.

        Raises:
            RewardError: the function raised, or answered with something that is not one
                finite number or None per response.
        """
        count = sum(len(group.responses) for group in groups)
        if not count:
            return [[] for _ in groups]
        scores = self._call(self._arguments(groups), count)
        self.notes.end_call(count)
        flat = iter(scores)
        return [[next(flat) for _ in group.responses] for group in groups]

    def _arguments(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Copy its inputs: what a function does to them must not reach the data."""
        pairs = [(g.query, r) for g in groups for r in g.responses]
        columns = [{**q.template_columns, **q.meta} for q, _ in pairs]
        names = dict.fromkeys(name for row in columns for name in row)
        return {
            **{n: [copy.deepcopy(row.get(n)) for row in columns] for n in names},
            "prompts": [
                [m.to_json() for m in q.messages] if q.conversational else _as_text(q)
                for q, _ in pairs
            ],
            "completions": [
                [{"role": "assistant", "content": r.text}] if q.conversational else r.text
                for q, r in pairs
            ],
            "completion_ids": [list(r.token_ids or ()) for _, r in pairs],
            "trainer_state": self.notes.trainer_state(),
            "log_extra": self.notes.log_extra,
            "log_metric": self.notes.log_metric,
        }

    def _call(self, arguments: Mapping[str, Any], count: int) -> list[float | None]:
        """Return the checked answer; generators and arrays are read here, as reading may raise."""
        given = f"reward function {self.name!r}"
        positional, named = call_arguments(self.function, arguments, given)
        try:
            result = self.function(*positional, **named)
            if inspect.isawaitable(result):
                result = wait_for(result)
            return checked_scores(result, count, given)
        except RewardError:
            raise
        except RAISED as error:
            raise RewardError(
                given,
                told(error, self.file),
                "call it by hand on a few prompts and completions, and correct it",
            ) from error


def callable_name(function: Any) -> str:
    """Name a function: a partial by what it calls, an object by its class."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _file_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function) if callable(function) else function
    called = function if hasattr(function, "__code__") else getattr(type(function), "__call__", 0)  # noqa: B004
    code = getattr(called, "__code__", None)
    return str(code.co_filename) if code is not None else ""


def _as_text(query: Any) -> str:
    """Write a plain query as one string: its only turn, or the transcript of several."""
    if len(query.messages) == 1:
        return query.messages[0].content
    names = {"user": "Human", "assistant": "Assistant"}
    turns = (f"\n\n{names.get(m.role, m.role)}: {m.content}" for m in query.messages)
    return "".join(turns) + "\n\nAssistant:"


def call_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any], given: str
) -> tuple[list[Any], dict[str, Any]]:
    """Choose the positional and the named arguments of a call.

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
    """Explain what a function needs that is no column and not given to every function."""
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


def checked_scores(result: Any, count: int, given: str) -> list[float | None]:
    """Read the scores of a list, an array, a tensor or a generator.

    Raises:
        RewardError: it is not `count` finite numbers or None.
    """
    kind = type(result).__name__
    if result is None:
        raise RewardError(given, "it returned None: a `return` is missing", WANTED)
    if isinstance(result, str | bytes | Mapping | set | frozenset):
        raise RewardError(given, f"it returned no list of numbers: {kind}", WANTED)
    if hasattr(result, "detach"):
        result = result.detach()
    if not hasattr(result, "__iter__") or getattr(result, "ndim", 1) == 0:
        raise RewardError(
            given, f"it returned no list of numbers: {kind} {str(result)[:60]}", WANTED
        )
    values = list(islice(result, count + 1))  # a generator may have no end
    if len(values) != count:
        many = f"more than {count}" if len(values) > count else str(len(values))
        raise RewardError(given, f"it returned {many} scores for {count} responses", WANTED)
    return [_score(value, i, given) for i, value in enumerate(values)]


def _score(value: Any, index: int, given: str) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, str | bytes):
            raise TypeError(f"{type(value).__name__} {value[:60]!r} is not a number")
        score = float(value.detach() if hasattr(value, "detach") else value)
    except Exception as error:  # whatever the function's own objects raise
        why = f"it returned no list of numbers: at place {index}, {error}"
        raise RewardError(given, why, WANTED) from error
    if not math.isfinite(score):
        raise RewardError(
            given,
            f"it returned {score} for response {index}",
            "return finite numbers, or None where it does not apply",
        )
    return score


def wait_for(awaited: Awaitable[Any]) -> Any:
    """Wait for what an async function gives; what it raises is raised here.

    It runs in one event loop in a thread of its own, as in TRL: it does not matter whether
    the caller has a running loop (Jupyter), and a client that a function keeps between calls
    stays with the loop that it was made in.
    """
    result, error = asyncio.run_coroutine_threadsafe(_outcome(awaited), _loop(os.getpid())).result()
    if error is not None:
        raise error
    return result


async def _outcome(awaited: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Return the result or the error; a SystemExit must not end the loop itself."""
    try:
        return await awaited, None
    except BaseException as error:
        return None, error


@functools.cache
def _loop(process: int) -> asyncio.AbstractEventLoop:
    """Start a loop, one per process: threads do not survive a fork."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name=f"async rewards of {process}", daemon=True).start()
    return loop
