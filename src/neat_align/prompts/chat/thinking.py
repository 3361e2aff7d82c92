"""Tell a response's thoughts from its answer.

Models that think write `<think>…</think>` before their answer. The whole of it is what the
model drew and what it is trained on; reward models and judges are given the answer alone,
as a chat server returns it. A response that was cut within its thoughts has no answer.
"""

from __future__ import annotations

import functools
import logging
import re

OPEN, CLOSE = "<think>", "</think>"
TAGS = frozenset({OPEN, CLOSE})
OPENED = re.compile(re.escape(OPEN) + r"\s*$")
"""A generation prompt that begins the thoughts itself."""

logger = logging.getLogger(__name__)


def split_thinking(text: str) -> tuple[str, str]:
    """Tell a response's thoughts from its answer; either may be empty.

    Thoughts are what stands before the last `</think>`, or behind a `<think>` at the very
    beginning that nothing closes.
    """
    before, closed, answer = text.rpartition(CLOSE)
    if closed:
        return before.strip().removeprefix(OPEN).strip(), answer.strip()
    if text.lstrip().startswith(OPEN):
        return text.strip().removeprefix(OPEN).strip(), ""
    return "", text


def answer_of(text: str) -> str:
    """Return a response's answer without its thoughts; log once that they are left out."""
    answer = split_thinking(text)[1]
    if answer != text:
        _say_thoughts()
    return answer


@functools.cache
def _say_thoughts() -> None:
    logger.warning(
        "responses hold thoughts (<think>…</think>): reward models and judges score the answer "
        "behind them; reward functions are given the whole text"
    )
