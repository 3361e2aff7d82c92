r"""HH-RLHF's `chosen` and `rejected`: two transcripts that differ in their last answer."""

from __future__ import annotations

from neat_align.data.format import ANSWERS, Diverging, Format, Row, beside, text_of
from neat_align.data.transcripts import is_transcript, parse_transcript, split_transcript
from neat_align.types import Query


def _query(row: Row) -> Query:
    head, chosen = split_transcript(row["chosen"])
    answers = {"chosen": chosen}
    if row.get("rejected") is not None:
        other, answers["rejected"] = split_transcript(text_of(row["rejected"], "rejected"))
        if other != head:
            raise Diverging
    # A few real transcripts have two assistant turns in a row; the last one is the answer, and
    # the other stays in the query.
    meta = {**beside(row, *ANSWERS), **answers}
    return Query(tuple(parse_transcript(head)), meta, conversational=False)


FORMAT = Format(
    ANSWERS, lambda row: is_transcript(row.get("chosen")), _query, texts=("chosen",), order=60
)
