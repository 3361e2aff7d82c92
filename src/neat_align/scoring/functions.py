"""Reward functions in TRL's signature, as scorers.

    f(prompts, completions, completion_ids, **columns, trainer_state, log_extra, log_metric)
        -> list[float | None]

sync or async; None means that the function does not apply. One entry for each response:
`prompts` repeats the query, `columns` repeat its meta. A conversational query gives messages,
a plain one strings, as in TRL.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from neat_align.errors import RewardError
from neat_align.types import Group


class RewardFunction:
    """A reward function as a scorer.

    Args:
        function: in TRL's signature, sync or async.
        name: of its scores; the function's own name by default.

    `metrics` holds what the function gave to `log_metric`, until somebody takes it.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self.metrics: dict[str, float] = {}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """One call for all responses of all groups.

        Raises:
            RewardError: the function raised, or answered with something that is not one
                finite number or None for each response, or with None for all of them.
        """
        arguments = self._arguments(groups)
        scores = self._checked(self._call(arguments), len(arguments["completions"]))
        flat = iter(scores)
        return [[next(flat) for _ in group.responses] for group in groups]

    def _arguments(self, groups: Sequence[Group]) -> dict[str, Any]:
        pairs = [(g.query, r) for g in groups for r in g.responses]
        names = {name for query, _ in pairs for name in query.meta}
        reserved = {"prompts", "completions", "completion_ids"}
        return {
            **{n: [q.meta.get(n) for q, _ in pairs] for n in names - reserved},
            "prompts": [
                [m.to_json() for m in q.messages] if q.conversational else _as_text(q)
                for q, _ in pairs
            ],
            "completions": [
                [{"role": "assistant", "content": r.text}] if q.conversational else r.text
                for q, r in pairs
            ],
            "completion_ids": [list(r.token_ids or ()) for _, r in pairs],
            "trainer_state": None,
            "log_extra": lambda column, values: None,
            "log_metric": self.metrics.__setitem__,
        }

    def _call(self, arguments: dict[str, Any]) -> Any:
        try:
            result = self.function(**self._accepted(arguments))
            return asyncio.run(result) if inspect.iscoroutine(result) else result
        except Exception as error:
            raise RewardError(
                f"reward function {self.name!r}",
                f"it raised {type(error).__name__}: {error}",
                "call it by hand on a few prompts and completions, and correct it",
            ) from error

    def _accepted(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """TRL passes everything; a function without **kwargs gets what it names."""
        parameters = inspect.signature(self.function).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return arguments
        named = {p.name for p in parameters}
        return {name: value for name, value in arguments.items() if name in named}

    def _checked(self, result: Any, count: int) -> list[float | None]:
        given = f"reward function {self.name!r}"
        try:
            scores = [None if x is None else float(x) for x in result]
        except Exception as error:  # whatever the function's own objects raise
            raise RewardError(
                given, f"it returned no list of numbers: {error}", "return list[float | None]"
            ) from error
        if len(scores) != count:
            raise RewardError(
                given,
                f"it returned {len(scores)} scores for {count} responses",
                "return one score for each completion, None where it does not apply",
            )
        bad = next(
            (i for i, x in enumerate(scores) if x is not None and not math.isfinite(x)), None
        )
        if bad is not None:
            raise RewardError(
                given,
                f"it returned {scores[bad]} for response {bad}",
                "return finite numbers, or None where it does not apply",
            )
        if all(x is None for x in scores):
            raise RewardError(
                given, "it returned None for every response", "check which responses it applies to"
            )
        return scores


def _as_text(query: Any) -> str:
    """A plain query as one string: its only turn, or the transcript of several."""
    if len(query.messages) == 1:
        return query.messages[0].content
    names = {"user": "Human", "assistant": "Assistant"}
    turns = (f"\n\n{names.get(m.role, m.role)}: {m.content}" for m in query.messages)
    return "".join(turns) + "\n\nAssistant:"
