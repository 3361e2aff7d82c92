"""Alpaca's `instruction` with `input`, Dolly's with `context`; also with a `history`."""

from __future__ import annotations

from neat_align.data.beside import instruction_of
from neat_align.data.format import Format, Row, beside, prompt_column, with_answer_texts
from neat_align.types import Query


def _recognises(row: Row) -> bool:
    return prompt_column(row) == "instruction" and isinstance(row["instruction"], str)


def _query(row: Row) -> Query:
    turns, used = instruction_of(row)
    meta = with_answer_texts(beside(row, "instruction", "conversational", *used))
    return Query(turns, meta, conversational=False)


FORMAT = Format(("instruction",), _recognises, _query, order=30)
