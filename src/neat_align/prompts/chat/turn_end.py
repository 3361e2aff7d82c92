r"""Find how a chat template begins and ends the assistant's turn.

A conversation with an answer in it is rendered; what follows the answer is the turn's end:
`<|im_end|>`, `<|eot_id|>`, `<end_of_turn>`, `</s>`, or plain text. It need not be the
tokenizer's EOS. A template that puts nothing behind the last answer leaves it to the EOS.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from neat_align.prompts.chat.chat_template import ChatTemplate
from neat_align.prompts.chat.forgery import PLACE
from neat_align.prompts.chat.thinking import OPENED, TAGS

ANSWER, NEXT = chr(PLACE), chr(PLACE + 1)


@dataclass(frozen=True)
class TurnEnd:
    """The text around an answer, and how it ends.

    Attributes:
        prompt: the text of a short conversation that waits for its answer.
        text: what ends the answer, up to its first special token; "" where the template
            puts nothing there.
        token: the special token in it; "" where it is plain text.
        stop: plain text at which an answer is over, where no token says so.
        opens_thoughts: whether the prompt itself begins the model's thoughts.
        lead: what stands between the prompt and the answer: a line end, the name of a channel;
            "" where the template writes an answered turn in another way.
    """

    prompt: str
    text: str = ""
    token: str = ""
    stop: str = ""
    opens_thoughts: bool = False
    lead: str = ""


def turn_end(
    template: ChatTemplate, tokens: Collection[str], arguments: Mapping[str, Any]
) -> TurnEnd:
    """Find the text around an answer by rendering a conversation with one in it.

    Args:
        tokens: spellings of the tokenizer's added tokens.
        arguments: of the template.

    Raises whatever the template raises at a single user turn.
    """
    asked = [{"role": "user", "content": "x"}]
    prompt = template.render(asked, arguments=arguments)
    answered = [*asked, {"role": "assistant", "content": ANSWER}]
    before, after = _around(template, answered, arguments)
    opens = bool(OPENED.search(prompt))
    lead = before.removeprefix(prompt) if before.startswith(prompt) else ""
    start = TurnEnd(prompt, opens_thoughts=opens, lead=lead)
    if found := _first(after, tokens):
        return replace(start, text=after[: after.index(found) + len(found)], token=found)
    if after.strip():
        return replace(start, text=after.rstrip(), stop=after.strip())
    followed = [*answered, {"role": "user", "content": NEXT}]
    between = _around(template, followed, arguments)[1].partition(NEXT)[0]
    if found := _first(between, tokens):
        return replace(start, text=between[: between.index(found) + len(found)], token=found)
    return replace(start, stop=between.rstrip() if between.strip() else "")


def _around(
    template: ChatTemplate, messages: list[Any], arguments: Mapping[str, Any]
) -> tuple[str, str]:
    """Split a rendered conversation at the answer; "" where the template refuses or hides it."""
    try:
        text = template.render(messages, arguments=arguments, prompt=False)
    except Exception:  # templates raise whatever they like
        return "", ""
    before, shown, after = text.rpartition(ANSWER)
    return (before, after) if shown else ("", "")


def _first(text: str, tokens: Collection[str]) -> str:
    """Find the token that comes first in a text; the longest, where several begin there."""
    found = [t for t in tokens if t and not t.isspace() and t not in TAGS and t in text]
    return min(found, key=lambda t: (text.index(t), -len(t)), default="")
