"""`chosen` and `rejected` as whole conversations: TRL's form with an implicit prompt."""

from __future__ import annotations

from neat_align.data.format import (
    ANSWERS,
    Diverging,
    Format,
    Row,
    beside,
    is_conversation,
    last_answer,
    waiting,
)
from neat_align.data.turns import messages_of
from neat_align.types import Query


def _query(row: Row) -> Query:
    """Take what both conversations begin with."""
    sides = {name: messages_of(row[name]) for name in ANSWERS if row.get(name) is not None}
    answers = {name: last_answer(turns, name) for name, turns in sides.items()}
    head, *others = [turns[:-1] for turns in sides.values()]
    if any(other != head for other in others):
        raise Diverging
    return waiting(head, {**beside(row, *ANSWERS), **answers}, conversational=True)


FORMAT = Format(ANSWERS, lambda row: is_conversation(row.get("chosen")), _query, order=70)
