"""ShareGPT's `conversations` of turns with `from` and `value`."""

from __future__ import annotations

from neat_align.data.format import (
    Format,
    Row,
    beside,
    is_conversation,
    last_answer,
    waiting,
    with_answer_texts,
)
from neat_align.data.turns import messages_of, sharegpt_turn
from neat_align.types import Query

COLUMNS = ("conversations", "conversation")


def _column(row: Row) -> str | None:
    return next((name for name in COLUMNS if is_conversation(row.get(name))), None)


def _query(row: Row) -> Query:
    """Cut the conversation before its last answer, which is `chosen` where there is none."""
    column = str(_column(row))
    turns = messages_of([sharegpt_turn(turn) for turn in row[column]])
    meta = with_answer_texts(beside(row, column))
    if turns and turns[-1].role == "assistant":
        answer = last_answer(turns, column)
        turns, meta = turns[:-1], {"chosen": answer, **meta}
    return waiting(turns, meta, conversational=True)


FORMAT = Format(COLUMNS, lambda row: _column(row) is not None, _query, COLUMNS, order=50)
