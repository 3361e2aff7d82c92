r"""Transcripts in HH-RLHF's form, "\n\nHuman: …\n\nAssistant: …", as turns."""

from __future__ import annotations

import re
from typing import Any

from neat_align.errors import DataError
from neat_align.types import Message

TURN = re.compile(r"\n\n(Human|Assistant):")
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
SPEAKERS = {"Human": "user", "Assistant": "assistant"}


def is_transcript(value: Any) -> bool:
    """Tell whether a value is a text that begins with a turn of a transcript."""
    return isinstance(value, str) and value.startswith(HUMAN)


def parse_transcript(text: str) -> list[Message]:
    r"""Read the turns of "\n\nHuman: …\n\nAssistant: …".

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
    """Split a transcript into the conversation and its last answer.

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
