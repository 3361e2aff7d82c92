"""Tell the user how conversations are written; each remark once per process."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from neat_align.prompts.chat.chat_template import KWARGS, ChatTemplate
from neat_align.prompts.chat.turn_end import TurnEnd
from neat_align.types import Message

logger = logging.getLogger(__name__)

NO_TEMPLATE = "{} has no chat template: conversations are written as Human: … and Assistant: …"


def of_template(
    template: ChatTemplate, end: TurnEnd, eos: str | None, arguments: Mapping[str, Any]
) -> list[str]:
    """List the remarks on a template, told when it is first used.

    Args:
        eos: the tokenizer's, which need not be what ends a turn.
        arguments: of the template.
    """
    remarks: list[str] = []
    if not end.text:
        remarks.append(
            f"the chat template of {template.name} puts nothing behind an answer: "
            f"responses end with the tokenizer's EOS, {eos!r}"
        )
    elif end.token != eos:
        remarks.append(
            f"the chat template of {template.name} ends a turn with {end.text.strip()!r}, and the "
            f"tokenizer's EOS is {eos!r}: sampling stops at both, training ends with the former"
        )
    if template.writes_date and "date_string" not in arguments:
        remarks.append(
            f"the chat template of {template.name} writes the date: it is today's in this process; "
            f"give {KWARGS}: {{date_string: …}} to have the same one another day"
        )
    return remarks


def of_turns(template: ChatTemplate, turns: Sequence[Message]) -> list[str]:
    """List a remark for each part of the turns that the template never reads."""
    return [
        f"the chat template of {template.name} never reads {key!r}, which turns of the data hold"
        for key in sorted({key for turn in turns for key in turn.extra})
        if key not in template.keys and key != "tool_call_id"
    ]


def say_once(*remarks: str) -> None:
    """Log each remark once per process."""
    for remark in remarks:
        _said(remark)


@functools.cache
def _said(remark: str) -> None:
    logger.warning(remark)
