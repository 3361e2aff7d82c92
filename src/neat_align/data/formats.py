r"""One row of a data set, whatever its format, as a query or a preference.

Understood: a `prompt` of one string or of messages; `messages`; `prompt`/`chosen`/`rejected`
in either form (TRL's formats), the prompt being implicit where chosen and rejected are whole
conversations; ShareGPT's `conversations`; Alpaca's `instruction` with `input`; and raw
transcripts in HH-RLHF's form, "\n\nHuman: …\n\nAssistant: …", split at the last
"\n\nAssistant:". With any of them a row may have a `system` message, `tools`, and
`chat_template_kwargs` (`beside`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neat_align.data.beside import instruction_of, refuse_media, with_beside
from neat_align.data.turns import messages_of, sharegpt_turn
from neat_align.errors import DataError
from neat_align.types import Message, Query

TURN = re.compile(r"\n\n(Human|Assistant):")
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
PROMPT_COLUMNS = ("prompt", "messages", "query", "question", "instruction")
SHAREGPT_COLUMNS = ("conversations", "conversation")
ANSWER_COLUMNS = ("chosen", "rejected")


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


@dataclass(frozen=True)
class Preference:
    """A query with a better and a worse answer."""

    query: Query
    chosen: str
    rejected: str


def query_of(row: Mapping[str, Any]) -> Query:
    """The query of a row; the other columns become its `meta`.

    `chosen` and `rejected` are there as the text of the answer alone.

    Raises:
        DataError: the row holds no query, something that is no conversation, or a part of
            one that would not reach the model.
        Diverging: it holds two transcripts that answer different conversations.
    """
    refuse_media(row)
    return with_beside(_conversation_of(row), row)


def _conversation_of(row: Mapping[str, Any]) -> Query:
    """The query of a row, without what stands in further columns."""
    column = next((c for c in PROMPT_COLUMNS if row.get(c)), None)
    if column is not None:
        _refuse_other_kinds(row[column], column)
        return _query_of_prompt(row[column], _meta(row, column, "conversational"), row)
    for name in SHAREGPT_COLUMNS:
        if _is_conversation(row.get(name)):
            return _query_of_sharegpt(row, name)
    if _is_transcript(row.get("chosen")):
        return _query_of_transcripts(row)
    if _is_conversation(row.get("chosen")):
        return _query_of_conversations(row)
    empty = [c for c in PROMPT_COLUMNS if c in row]
    raise DataError(
        f"a row with the columns {_columns(row)}",
        f"its {empty[0]} is empty"
        if empty
        else "it has no query: no prompt, no messages, and chosen is no transcript",
        "fill it in, or remove the row"
        if empty
        else f"map one with columns={{'prompt': …}}, or use one of {', '.join(PROMPT_COLUMNS)}",
    )


def query_or_chosen(row: Mapping[str, Any]) -> Query:
    """The query of a row; of two transcripts that diverge, the chosen one's."""
    try:
        return query_of(row)
    except Diverging:
        return query_of({k: v for k, v in row.items() if k != "rejected"})


def preference_of(row: Mapping[str, Any]) -> Preference:
    """The preference of a row.

    Raises:
        DataError: no query, or no chosen and rejected answer.
        NoPreference: it has all of these, but prefers nothing: the conversations diverge, or
            the answers are equal, or one is empty.
    """
    missing = [name for name in ANSWER_COLUMNS if row.get(name) is None]
    if missing:
        raise DataError(
            f"a row with the columns {_columns(row)}",
            f"a preference needs a chosen and a rejected answer; {' and '.join(missing)} is absent",
            "map them with columns={'chosen': …, 'rejected': …}",
        )
    query = query_of(row)
    chosen, rejected = (query.meta[name] for name in ANSWER_COLUMNS)
    if not chosen.strip() or not rejected.strip():
        raise NoPreference("an empty answer", "there is nothing to learn from it")
    if chosen == rejected:
        raise NoPreference("equal answers", "neither is the better one")
    return Preference(query, chosen, rejected)


def parse_transcript(text: str) -> list[Message]:
    r"""The turns of "\n\nHuman: …\n\nAssistant: …".

    Raises:
        DataError: the text does not begin with a turn.
    """
    starts = list(TURN.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise DataError(
            f"a transcript that begins with {text[:40]!r}",
            "it does not start with a turn",
            f"begin it with {HUMAN!r}",
        )
    ends = [m.start() for m in starts[1:]] + [len(text)]
    return [Message(SPEAKERS[m[1]], text[m.end() : end].strip()) for m, end in zip(starts, ends)]


def split_transcript(text: str) -> tuple[str, str]:
    """The conversation and the last answer of a transcript.

    Raises:
        DataError: it does not end with an answer.
    """
    head, found, answer = text.rpartition(ASSISTANT)
    if not found or HUMAN in answer:
        raise DataError(
            f"a transcript that ends with {text[-40:]!r}",
            "its last turn is not the assistant's",
            f"end it with {ASSISTANT!r} and an answer",
        )
    return head, answer.strip()


def _refuse_other_kinds(value: Any, column: str) -> None:
    if not isinstance(value, str | list | tuple):
        raise DataError(
            f"column {column!r} with {str(value)[:60]}",
            f"a query is a text or a list of turns, not {type(value).__name__}",
            "convert it, or name another column with columns={'prompt': …}",
        )


def _query_of_prompt(prompt: Any, meta: dict[str, Any], row: Mapping[str, Any]) -> Query:
    for name in ANSWER_COLUMNS:
        if meta.get(name) is not None:
            meta[name] = _answer_text(meta[name], name)
    if not isinstance(prompt, str):
        # What `save_queries` wrote remembers whether the data gave text.
        return _waiting(messages_of(prompt), meta, row.get("conversational") is not False)
    if _is_transcript(prompt):
        head = prompt.rstrip().removesuffix(ASSISTANT)
        return _waiting(parse_transcript(head), meta, conversational=False)
    if row.get("instruction") is prompt:
        turns, used = instruction_of(row)
        return Query(turns, _meta(meta, *used), conversational=False)
    return Query((Message("user", prompt),), meta, conversational=False)


def _query_of_sharegpt(row: Mapping[str, Any], column: str) -> Query:
    """The conversation up to the last answer, which becomes `chosen` where there is none."""
    turns = messages_of([sharegpt_turn(turn) for turn in row[column]])
    meta = _meta(row, column)
    for name in ANSWER_COLUMNS:
        if meta.get(name) is not None:
            meta[name] = _answer_text(meta[name], name)
    if turns and turns[-1].role == "assistant":
        answer = _last_answer(turns, column)
        turns, meta = turns[:-1], {"chosen": answer, **meta}
    return _waiting(turns, meta, conversational=True)


def _query_of_transcripts(row: Mapping[str, Any]) -> Query:
    head, chosen = split_transcript(row["chosen"])
    answers = {"chosen": chosen}
    if row.get("rejected") is not None:
        other, answers["rejected"] = split_transcript(_string(row["rejected"], "rejected"))
        if other != head:
            raise Diverging
    # A few real transcripts have two assistant turns in a row; the last one is the answer, and
    # the other stays in the query.
    meta = {**_meta(row, *ANSWER_COLUMNS), **answers}
    return Query(tuple(parse_transcript(head)), meta, conversational=False)


def _query_of_conversations(row: Mapping[str, Any]) -> Query:
    """TRL's implicit prompt: what both conversations begin with."""
    sides = {n: messages_of(row[n]) for n in ANSWER_COLUMNS if row.get(n) is not None}
    answers = {name: _last_answer(turns, name) for name, turns in sides.items()}
    head, *others = [turns[:-1] for turns in sides.values()]
    if any(other != head for other in others):
        raise Diverging
    return _waiting(head, {**_meta(row, *ANSWER_COLUMNS), **answers}, conversational=True)


def _waiting(messages: list[Message], meta: dict[str, Any], conversational: bool) -> Query:
    """A query, after making sure that the assistant is next."""
    if not messages or messages[-1].role not in ("user", "tool"):
        raise DataError(
            f"a conversation that ends with {messages[-1].role if messages else 'nothing'}",
            "a query ends with the user's turn, and waits for an answer",
            "cut it after the user's last turn",
        )
    return Query(tuple(messages), meta, conversational)


def _answer_text(value: Any, name: str) -> str:
    """An answer given as a text, a whole transcript, or as messages that end with it."""
    if isinstance(value, Mapping):  # one turn, as ShareGPT's preferences have it
        value = [sharegpt_turn(value)]
    if _is_conversation(value):
        return _last_answer(messages_of(value), name)
    text = _string(value, name)
    return split_transcript(text)[1] if _is_transcript(text) else text


def _last_answer(turns: list[Message], name: str) -> str:
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


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise DataError(
            f"{name} of type {type(value).__name__}",
            "an answer is a text, in the form of the others of its row, or messages",
            "convert it",
        )
    return value


def _meta(row: Mapping[str, Any], *used: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in used}


def _columns(row: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, row)) or "(none)"


def _is_transcript(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(HUMAN)


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
