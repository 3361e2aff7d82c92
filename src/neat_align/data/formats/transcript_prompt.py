r"""A transcript in a column of queries: "\n\nHuman: …\n\nAssistant:", with or without the end."""

from __future__ import annotations

from neat_align.data.format import (
    PROMPT_COLUMNS,
    Format,
    Row,
    beside,
    prompt_column,
    waiting,
    with_answer_texts,
)
from neat_align.data.transcripts import ASSISTANT, is_transcript, parse_transcript
from neat_align.types import Query


def _recognises(row: Row) -> bool:
    column = prompt_column(row)
    return column is not None and is_transcript(row[column])


def _query(row: Row) -> Query:
    column = str(prompt_column(row))
    head = row[column].rstrip().removesuffix(ASSISTANT)
    meta = with_answer_texts(beside(row, column, "conversational"))
    return waiting(parse_transcript(head), meta, conversational=False)


FORMAT = Format(PROMPT_COLUMNS, _recognises, _query, order=20)
