"""One row of a data set, whatever its format, as a query or a preference.

Understood: a `prompt` of one string or of messages; `messages`; `prompt`/`chosen`/`rejected`
in either form (TRL's formats); and raw transcripts in HH-RLHF's form,
"\\n\\nHuman: …\\n\\nAssistant: …", split at the last "\\n\\nAssistant:".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neat_align.errors import DataError
from neat_align.types import Message, Query

TURN = re.compile(r"\n\n(Human|Assistant):")
ASSISTANT = "\n\nAssistant:"
ROLES = {"Human": "user", "Assistant": "assistant"}
PROMPT_COLUMNS = ("prompt", "messages", "query", "question", "instruction")


class Diverging(DataError):
    """Chosen and rejected do not answer the same conversation."""


@dataclass(frozen=True)
class Preference:
    """A query with a better and a worse answer."""

    query: Query
    chosen: str
    rejected: str


def query_of(row: Mapping[str, Any]) -> Query:
    """The query of a row; the other columns become its `meta`.

    Raises:
        DataError: the row holds no query.
        Diverging: it holds two transcripts that answer different conversations.
    """
    column = next((c for c in PROMPT_COLUMNS if row.get(c)), None)
    if column is not None:
        return _query_of_prompt(row[column], _meta(row, column))
    if _is_transcript(row.get("chosen")):
        return _query_of_transcripts(row)
    if _is_conversation(row.get("chosen")):  # TRL's implicit prompt: the shared beginning
        messages, answers = _shared_conversation(row)
        return _user_last(messages, {**_meta(row, "chosen", "rejected"), **answers}, True)
    raise DataError(
        f"a row with the columns {', '.join(map(repr, row)) or 'none'}",
        "it has no query: no prompt, no messages, and chosen is no transcript",
        f"name the column with columns={{'prompt': …}}, or use one of {', '.join(PROMPT_COLUMNS)}",
    )


def preference_of(row: Mapping[str, Any]) -> Preference:
    """The preference of a row.

    Raises:
        DataError: no query, or no pair of different, non-empty answers.
    """
    query = query_of(row)
    chosen, rejected = query.meta.get("chosen", ""), query.meta.get("rejected", "")
    if not chosen or not rejected:
        raise DataError(
            f"a row with the columns {', '.join(map(repr, row))}",
            "a preference needs a chosen and a rejected answer that are not empty",
            "name them with columns={'chosen': …, 'rejected': …}",
        )
    if chosen == rejected:
        raise DataError("a row whose chosen equals its rejected", "it prefers nothing", "remove it")
    return Preference(query, chosen, rejected)


def parse_transcript(text: str) -> list[Message]:
    """The turns of "\\n\\nHuman: …\\n\\nAssistant: …".

    Raises:
        DataError: the text does not begin with a turn.
    """
    starts = list(TURN.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise DataError(
            f"a transcript that begins with {text[:40]!r}",
            "it does not start with a turn",
            'begin it with "\\n\\nHuman:"',
        )
    ends = [m.start() for m in starts[1:]] + [len(text)]
    return [
        Message(ROLES[m[1]], text[m.end() : end].strip()) for m, end in zip(starts, ends)
    ]


def split_transcript(text: str) -> tuple[str, str]:
    """The conversation and the last answer of a transcript."""
    head, _, answer = text.rpartition(ASSISTANT)
    return head, answer.strip()


def _query_of_prompt(prompt: Any, meta: dict[str, Any]) -> Query:
    answers = {
        name: _answer_text(meta[name], name) for name in ("chosen", "rejected") if meta.get(name)
    }
    meta = {**meta, **answers}
    if isinstance(prompt, str):
        if _is_transcript(prompt):
            head = prompt.rstrip().removesuffix(ASSISTANT)
            return _user_last(parse_transcript(head), meta, False)
        return Query((Message("user", prompt),), meta, conversational=False)
    return _user_last(_messages(prompt), meta, True)


def _query_of_transcripts(row: Mapping[str, Any]) -> Query:
    head, chosen = split_transcript(row["chosen"])
    answers = {"chosen": chosen}
    if row.get("rejected"):
        other, answers["rejected"] = split_transcript(row["rejected"])
        if other != head:
            raise _diverging()
    meta = {**_meta(row, "chosen", "rejected"), **answers}
    # A few real transcripts have two assistant turns in a row; the last one is the answer.
    return Query(tuple(parse_transcript(head)), meta, conversational=False)


def _shared_conversation(row: Mapping[str, Any]) -> tuple[list[Message], dict[str, str]]:
    sides = {name: _messages(row[name]) for name in ("chosen", "rejected") if row.get(name)}
    heads = [turns[:-1] for turns in sides.values()]
    if any(head != heads[0] for head in heads):
        raise _diverging()
    return heads[0], {name: turns[-1].content for name, turns in sides.items()}


def _user_last(messages: Sequence[Message], meta: dict[str, Any], conversational: bool) -> Query:
    if not messages or messages[-1].role == "assistant":
        raise DataError(
            "a conversation that ends with the assistant",
            "there is nothing left to answer",
            "cut it after the user's last turn",
        )
    return Query(tuple(messages), meta, conversational)


def _messages(value: Any) -> list[Message]:
    try:
        return [Message(str(m["role"]), str(m["content"])) for m in value]
    except (TypeError, KeyError, IndexError) as error:
        raise DataError(
            f"a conversation of {str(value)[:60]!r}",
            "its turns are not mappings with role and content",
            'write [{"role": "user", "content": "…"}]',
        ) from error


def _answer_text(value: Any, name: str) -> str:
    """An answer given as a string or as the last of some messages."""
    if isinstance(value, str):
        return split_transcript(value)[1] if _is_transcript(value) else value
    if _is_conversation(value):
        return _messages(value)[-1].content
    raise DataError(
        f"{name} of type {type(value).__name__}", "an answer is a text or messages", "convert it"
    )


def _meta(row: Mapping[str, Any], *used: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in used}


def _is_transcript(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("\n\nHuman:")


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _diverging() -> Diverging:
    return Diverging(
        "a row whose chosen and rejected answer different conversations",
        "the two answers cannot be compared",
        "remove the row",
    )
