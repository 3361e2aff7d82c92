"""A conversation in `messages` or another column of queries: OpenAI's and TRL's form."""

from __future__ import annotations

from neat_align.data.format import Format, Row, beside, prompt_column, waiting, with_answer_texts
from neat_align.data.turns import messages_of
from neat_align.types import Query


def _recognises(row: Row) -> bool:
    column = prompt_column(row)
    return column is not None and isinstance(row[column], list | tuple)


def _query(row: Row) -> Query:
    column = str(prompt_column(row))
    meta = with_answer_texts(beside(row, column, "conversational"))
    # What `save_queries` wrote remembers whether the data gave text.
    return waiting(messages_of(row[column]), meta, row.get("conversational") is not False)


FORMAT = Format(("messages",), _recognises, _query, conversations=("messages",), order=10)
