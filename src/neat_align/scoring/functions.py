"""Reward functions in TRL's signature, as scorers.

    f(prompts, completions, completion_ids, **columns, trainer_state, log_extra, log_metric)
        -> list[float | None]

sync or async; None means that the function does not apply. One entry for each response:
`prompts` repeats the query, `columns` repeat its meta. A conversational query gives messages,
a plain one strings, as in TRL. What `log_metric` and `log_extra` are told is kept in `notes`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neat_align.errors import RewardError
from neat_align.scoring.notes import Notes
from neat_align.scoring.raised import RAISED, told
from neat_align.scoring.returned import checked_scores
from neat_align.scoring.signature import call_arguments
from neat_align.scoring.waiting import wait_for
from neat_align.types import Group


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

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """One call for all responses of all groups.

        Raises:
            RewardError: the function raised, or answered with something that is not one
                finite number or None for each response.
        """
        count = sum(len(group.responses) for group in groups)
        if not count:
            return [[] for _ in groups]
        scores = self._call(self._arguments(groups), count)
        self.notes.end_call(count)
        flat = iter(scores)
        return [[next(flat) for _ in group.responses] for group in groups]

    def _arguments(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Copies: what a function does to them must not reach the data."""
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
        """The checked answer; generators and arrays are read here, since reading may raise."""
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
    """A function's name; of a partial that of what it calls, of an object its class's."""
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
    """A plain query as one string: its only turn, or the transcript of several."""
    if len(query.messages) == 1:
        return query.messages[0].content
    names = {"user": "Human", "assistant": "Assistant"}
    turns = (f"\n\n{names.get(m.role, m.role)}: {m.content}" for m in query.messages)
    return "".join(turns) + "\n\nAssistant:"
