"""What a data format is, and the parts that several of them are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neat_align.data.transcripts import is_transcript, split_transcript
from neat_align.data.turns import messages_of, sharegpt_turn
from neat_align.errors import DataError
from neat_align.types import Message, Query

Row = Mapping[str, Any]
PROMPT_COLUMNS = ("prompt", "messages", "query", "question", "instruction")
"""Columns that hold the query itself; the first one that is filled in counts."""
ANSWERS = ("chosen", "rejected")
"""Keys of a query's `meta` under which its better and its worse answer stand as text."""


@dataclass(frozen=True)
class Format:
    """One way in which the rows of a data set hold a query.

    Attributes:
        columns: names by which it is known; a row may write them in any case.
        recognises: tells whether a row is of this format; None where it holds texts alone.
        query: makes the row's query. Columns it does not use become `meta`, and answers stand
            there as texts under `ANSWERS`.
        conversations: those of `columns` that hold a conversation and never a mere text, so
            that a cell of text is read as JSON.
        answers: columns of the better and the worse answer.
        texts: columns that hold a whole text to read, for `load_texts`.
        order: formats are asked in ascending order. What has columns of its own goes first.
    """

    columns: tuple[str, ...]
    recognises: Callable[[Row], bool] | None = None
    query: Callable[[Row], Query] | None = None
    conversations: tuple[str, ...] = ()
    answers: tuple[str, str] = ANSWERS
    texts: tuple[str, ...] = ()
    order: int = 0


class NoPreference(DataError):
    """A row in good form that prefers nothing; real data holds some, to be counted.

    Attributes:
        reason: what such rows have in common, for the count.
    """

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(f"a row with {reason}", why, "remove the row")
        self.reason = reason


class Diverging(NoPreference):
    """Chosen and rejected do not answer the same conversation."""

    def __init__(self) -> None:
        super().__init__("diverging conversations", "its two answers cannot be compared")


def prompt_column(row: Row) -> str | None:
    """Name the column that holds the row's query itself, if one is filled in."""
    return next((name for name in PROMPT_COLUMNS if row.get(name)), None)


def beside(row: Row, *used: str) -> dict[str, Any]:
    """Take the columns of a row that its query does not hold."""
    return {key: value for key, value in row.items() if key not in used}


def with_answer_texts(meta: dict[str, Any]) -> dict[str, Any]:
    """Put the texts of the answers in place of transcripts, messages and turns."""
    given = {name: meta[name] for name in ANSWERS if meta.get(name) is not None}
    return {**meta, **{name: answer_text(value, name) for name, value in given.items()}}


def waiting(messages: list[Message], meta: dict[str, Any], conversational: bool) -> Query:
    """Make a query, after making sure that the assistant is next.

    Raises:
        DataError: the conversation is empty, or ends with the assistant's turn.
    """
    if not messages or messages[-1].role not in ("user", "tool"):
        raise DataError(
            f"a conversation that ends with {messages[-1].role if messages else 'nothing'}",
            "a query is a prompt without an answer: it ends with the user's turn",
            "cut it after the user's last turn",
        )
    return Query(tuple(messages), meta, conversational)


def answer_text(value: Any, name: str) -> str:
    """Read an answer given as a text, a whole transcript, or messages that end with it.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(value, Mapping):  # one turn, as ShareGPT's preferences have it
        value = [sharegpt_turn(value)]
    if is_conversation(value):
        return last_answer(messages_of(value), name)
    text = text_of(value, name)
    return split_transcript(text)[1] if is_transcript(text) else text


def last_answer(turns: list[Message], name: str) -> str:
    """Take the text of the assistant's last turn.

    Raises:
        DataError: the turns end otherwise, or with tool calls.
    """
    if not turns or turns[-1].role != "assistant":
        raise DataError(
            f"{name} messages that end with {turns[-1].role if turns else 'nothing'}",
            "the answer is the assistant's last turn",
            "end them with the assistant's answer",
        )
    if turns[-1].extra.get("tool_calls"):
        raise DataError(
            f"{name} that ends with tool calls",
            "an answer is compared by its text, and the calls would be left out",
            "remove the row",
        )
    return turns[-1].content


def text_of(value: Any, name: str) -> str:
    """Return an answer that must be a text.

    Raises:
        DataError: it is of another type.
    """
    if not isinstance(value, str):
        raise DataError(
            f"{name} of type {type(value).__name__}",
            "an answer is a text, in the form of the others of its row, or messages",
            "convert it",
        )
    return value


def is_conversation(value: Any) -> bool:
    """Tell whether a value is a list of turns."""
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
