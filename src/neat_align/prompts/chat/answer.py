"""Write an answer's text as the chat template does: its thoughts cut, its outer space changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neat_align.prompts.chat.chat_template import ChatTemplate
from neat_align.prompts.chat.thinking import CLOSE, OPEN, split_thinking
from neat_align.prompts.chat.turn_end import TurnEnd
from neat_align.types import Finish


def answer_body(
    template: ChatTemplate,
    text: str,
    finish: Finish,
    end: TurnEnd,
    arguments: Mapping[str, Any],
) -> str:
    """Return the response's text, without the prompt before it and the turn's end behind it."""
    if end.opens_thoughts:
        return _behind_opened_thoughts(text, finish)
    if text.startswith(OPEN) and CLOSE not in text:  # cut within its thoughts
        return text
    asked = [{"role": "user", "content": "x"}, {"role": "assistant", "content": text}]
    try:
        written = template.render(asked, (), arguments, prompt=False)
    except Exception:  # a template that refuses answers leaves them as they are
        return text
    if not written.startswith(end.prompt):
        return text
    rest = written[len(end.prompt) :]
    shows_end = end.text and end.text in rest  # some write it before the next turn alone
    body = rest.rpartition(end.text)[0] if shows_end else rest.rstrip()
    return body if all(part in body for part in split_thinking(text.strip())) else text


def _behind_opened_thoughts(text: str, finish: Finish) -> str:
    if text.startswith(OPEN):
        return text.removeprefix(OPEN).lstrip("\n")
    unthought = finish == "stop" and CLOSE not in text
    return f"\n{CLOSE}\n\n{text}" if unthought else text
