"""Define the records that travel between the stages: query, response, group.

They hold text and provenance, never tensors, and turn into JSON and back without loss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import Any, Literal

from neat_align.errors import DataError

Finish = Literal["stop", "length"]
LARGEST_SCORE = 1e30  # beyond it, what is made of scores overflows in float32


def is_usable_score(score: float) -> bool:
    """Tell whether responses can be ranked by a score."""
    return isfinite(score) and abs(score) <= LARGEST_SCORE


class Source(StrEnum):
    """Where a response came from: recorded when it is made, never inferred."""

    DATA = "data"  # from the data: a chosen or rejected answer
    PLAIN = "plain"  # the model, without a steering prompt
    POSITIVE = "positive"  # the model, under a positive steering prompt
    NEGATIVE = "negative"  # the model, under a negative steering prompt

    @classmethod
    def _missing_(cls, value: object) -> Source | None:
        """Read groups that were stored while an answer of the data was called "reference"."""
        return cls.DATA if value == "reference" else None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: system, user, assistant or tool.
        content: its text.
        extra: what else the turn holds (`tool_calls`, `name`, `reasoning_content` …), given
            to the chat template as it is.
    """

    role: str
    content: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        return {"role": self.role, "content": self.content, **self.extra}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Message:
        extra = {k: v for k, v in record.items() if k not in ("role", "content")}
        return cls(record["role"], record["content"], extra)


def _check_unicode(text: str, what: str) -> None:
    """Raise a `DataError` for half a character (a lone surrogate), which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} with {text[error.start]!r} at {error.start} in {text[: error.start][-40:]!r}",
            "half a character is no text: no tokenizer and no file takes it",
            "remove the row, or the character",
        ) from error


def content_id(
    messages: Sequence[Message],
    tools: Sequence[Any] = (),
    template_kwargs: Mapping[str, Any] | None = None,
) -> str:
    """Hash all that the chat template is given: the same query has the same id everywhere.

    What a plain conversation lacks (tool calls, tools, template arguments) is no part of its
    hash, so that its id does not depend on their being known.
    """
    parts: list[Any] = [
        [m.role, m.content, dict(m.extra)] if m.extra else [m.role, m.content] for m in messages
    ]
    if tools or template_kwargs:
        parts = [parts, list(tools), dict(template_kwargs or {})]
    text = json.dumps(parts, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Query:
    """A prompt without an answer: a conversation whose last turn is the user's.

    A steering prompt is never part of it.

    Attributes:
        messages: the turns so far; the last one is the user's.
        meta: further columns of the row (`chosen`, `rejected`, labels for evaluation …).
        conversational: False when the data gave one plain string; reward functions
            are then called with strings, as TRL does.
        id: content hash of the messages, tools and template arguments.
        tools: JSON schemas of the functions that the model may call.
        template_kwargs: further arguments of the chat template for this query alone
            (`enable_thinking` …); they go before those of the model.
        place: where the query stands in its data ("queries.jsonl, line 3"), for errors.
    """

    messages: tuple[Message, ...]
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    conversational: bool = True
    id: str = ""
    tools: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    place: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.messages or not any(m.content.strip() for m in self.messages):
            raise DataError("a query without text", "there is nothing to answer", "remove the row")
        for message in self.messages:
            _check_unicode(message.content, "a query")
        if not self.id:
            own = content_id(self.messages, self.tools, self.template_kwargs)
            object.__setattr__(self, "id", own)

    @classmethod
    def from_text(cls, text: str, **meta: Any) -> Query:
        """Make a query of one user turn from a plain string."""
        return cls((Message("user", text),), meta, conversational=False)

    @property
    def text(self) -> str:
        """The last user turn, for tables."""
        return self.messages[-1].content

    @property
    def named(self) -> str:
        """The query's name in errors: its place in the data or its id, and how it begins."""
        return f"{self.place or f'query {self.id}'} ({self.text[:40]!r})"

    @property
    def template_columns(self) -> dict[str, Any]:
        """The columns `tools` and `chat_template_kwargs` of a row, where there are any."""
        columns = {
            "tools": list(self.tools),
            "chat_template_kwargs": dict(self.template_kwargs),
        }
        return {name: value for name, value in columns.items() if value}

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "messages": [m.to_json() for m in self.messages],
            "meta": dict(self.meta),
            "conversational": self.conversational,
            **self.template_columns,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Query:
        return cls(
            tuple(Message.from_json(m) for m in record["messages"]),
            record.get("meta", {}),
            record.get("conversational", True),
            tools=tuple(record.get("tools") or ()),
            template_kwargs=record.get("chat_template_kwargs") or {},
        )


@dataclass(frozen=True)
class Document:
    """A text to learn from or to measure perplexity on.

    Attributes:
        query: what `text` answers; None for plain text.
        text: the answer, or the plain text.
        steering: a steering prompt that stands before the query.
    """

    query: Query | None
    text: str
    steering: str = ""


@dataclass(frozen=True)
class Response:
    """One answer, where it came from, and how it was scored.

    Attributes:
        text: the answer, without special tokens.
        source: from the data, or sampled without a prompt or under a positive or negative one.
        steering: the steering prompt it was sampled under, "" when none.
        turns: of another conversation, shown before the query; see `prompts.phrasing`.
        prefix: what it was begun with, a part of `text` and `token_ids`.
        column: of the query's data, which it was taken from instead of being drawn.
        finish: "stop" when the model ended it (EOS is then part of the training
            sequence), "length" when it was cut.
        scores: each scorer's score by name; None where a scorer did not apply.
        score: the combined score that training uses; higher is better.
        seed: seed of the draw, None for data.
        sampler: what drew it ("policy", "base", "scripted", a server's model name).
        token_ids: the sampled tokens (EOS included when finished), when known.
    """

    text: str
    source: Source
    steering: str = ""
    finish: Finish = "stop"
    scores: Mapping[str, float | None] = field(default_factory=dict, hash=False)
    score: float | None = None
    seed: int | None = None
    sampler: str = ""
    token_ids: tuple[int, ...] | None = None
    turns: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    column: str = ""

    def __post_init__(self) -> None:
        for text in (self.text, self.steering, self.sampler, self.prefix, self.column):
            _check_unicode(text, "a response")

    def with_scores(self, scores: Mapping[str, float | None], score: float) -> Response:
        return replace(self, scores=dict(scores), score=score)

    def to_json(self) -> dict[str, Any]:
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        record["source"] = str(self.source)
        record["scores"] = dict(self.scores)
        record["token_ids"] = None if self.token_ids is None else list(self.token_ids)
        record["turns"] = [list(turn) for turn in self.turns]
        unused = [name for name in ("turns", "prefix", "column") if not record[name]]
        return {name: value for name, value in record.items() if name not in unused}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Response:
        known = {k: v for k, v in record.items() if k in cls.__dataclass_fields__}
        known["source"] = Source(record["source"])
        ids = record.get("token_ids")
        known["token_ids"] = None if ids is None else tuple(ids)
        known["turns"] = tuple((user, answer) for user, answer in record.get("turns") or ())
        known |= {name: record.get(name) or "" for name in ("prefix", "column")}
        return cls(**known)


@dataclass(frozen=True)
class Group:
    """One query with its responses.

    Raises:
        DataError: a group without responses, or one that is only partly scored.
    """

    query: Query
    responses: tuple[Response, ...]

    def __post_init__(self) -> None:
        if not self.responses:
            raise DataError(
                f"a group without responses (query {self.query.id})",
                "there is nothing to compare",
                "sample at least two responses a query",
            )
        scores = [r.score for r in self.responses if r.score is not None]
        broken = [score for score in scores if not is_usable_score(score)]
        if broken:
            raise DataError(
                f"a group with a score of {broken[0]} (query {self.query.id})",
                f"nothing can be ranked by it: scores are numbers up to {LARGEST_SCORE:g} in size",
                "correct the reward, and score the group again with `neat score`",
            )
        scored = [r.score is not None for r in self.responses]
        if any(scored) and not all(scored):
            raise DataError(
                f"a group of which {sum(scored)} of {len(scored)} responses are scored",
                "unscored responses cannot be ranked against scored ones",
                "score the whole group with `neat score`",
            )

    @property
    def is_scored(self) -> bool:
        return self.responses[0].score is not None

    @property
    def scores(self) -> list[float]:
        """The combined scores, one per response; an error if the group has not been scored."""
        scores = [r.score for r in self.responses if r.score is not None]
        if len(scores) != len(self.responses):
            raise DataError(
                f"an unscored group (query {self.query.id})",
                "training needs a score for every response",
                "run `neat score`, or give the trainer reward_funcs",
            )
        return scores

    def to_json(self) -> dict[str, Any]:
        return {
            "query": self.query.to_json(),
            "responses": [r.to_json() for r in self.responses],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Group:
        responses = tuple(Response.from_json(r) for r in record["responses"])
        return cls(Query.from_json(record["query"]), responses)
