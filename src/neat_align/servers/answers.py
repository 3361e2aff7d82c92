"""Decide what each answer of a chat endpoint counts as, by one table.

Only a text that the server calls finished ("stop") or cut ("length") is an answer. Anything
else is asked for again, and then counted as missing. `docs/servers.md` shows the same table,
and a test compares the two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neat_align.types import Finish

STOP, LENGTH = "stop", "length"
SHOWN = 200  # characters of what a server says, in a reason
OPENING = re.compile(r"\s*[<\[](think|thinking|thought|reasoning)[>\]]", re.IGNORECASE)
CLOSING = re.compile(r"[<\[]/(think|thinking|thought|reasoning)[>\]]", re.IGNORECASE)
CHANNEL, FINAL = "<|channel|>", "<|channel|>final<|message|>"


@dataclass(frozen=True)
class Answer:
    """One usable choice of a completion.

    Attributes:
        text: the answer, without thoughts.
        finish: whether the model ended it, or it was cut.
        note: how the request had to differ from the one wanted; "" if it did not.
        model: the name under which the server answered; "" if it gave none.
    """

    text: str
    finish: Finish
    note: str = ""
    model: str = ""


@dataclass(frozen=True)
class Completion:
    """The outcome of one request.

    Attributes:
        answers: those that can be used.
        refused: for each other choice, why it cannot be used.
        model: the name under which the server answered; "" if it gave none.
    """

    answers: list[Answer]
    refused: list[str]
    model: str = ""


@dataclass(frozen=True)
class Seen:
    """A choice, as the tests of the table read it."""

    finish: Any
    message: Any
    choice: Mapping[str, Any]

    def of(self, name: str) -> Any:
        """Return a field of the message; None if the field or the message is missing."""
        return self.message.get(name) if isinstance(self.message, Mapping) else None

    @property
    def content(self) -> Any:
        return self.of("content")

    @property
    def text(self) -> str | None:
        """The content without thoughts; None if it is nothing but thoughts."""
        return without_thoughts(self.content) if isinstance(self.content, str) else None


@dataclass(frozen=True)
class Row:
    """One row of the table. The first row whose test holds decides about a choice.

    Attributes:
        came: what the server sent, in words, for errors and the documentation.
        becomes: "stop" or "length" for an answer, None for anything else.
    """

    came: str
    test: Callable[[Seen], bool]
    becomes: Finish | None = None


TABLE = (
    Row("a choice without a message (legacy `text`)", lambda c: not isinstance(c.message, Mapping)),
    Row("an error within the choice", lambda c: bool(c.choice.get("error"))),
    Row("a tool or function call", lambda c: bool(c.of("tool_calls") or c.of("function_call"))),
    Row("a refusal", lambda c: bool(c.of("refusal"))),
    Row("no finish reason", lambda c: c.finish is None),
    Row(
        "another finish reason than stop and length (content_filter, tool_calls, function_call, "
        "error, abort)",
        lambda c: c.finish not in (STOP, LENGTH),
    ),
    Row(
        "thoughts alone (a reasoning field without content)",
        lambda c: c.content in (None, "") and bool(c.of("reasoning_content") or c.of("reasoning")),
    ),
    Row("no content (null)", lambda c: c.content is None),
    Row(
        "content that is no text (a list of parts, a number)",
        lambda c: not isinstance(c.content, str),
    ),
    Row("thoughts alone (a `<think>` that does not end)", lambda c: c.text is None),
    Row("an empty text", lambda c: not (c.text or "").strip()),
    Row("text, finish reason stop", lambda c: c.finish == STOP, "stop"),
    Row("text, finish reason length", lambda c: c.finish == LENGTH, "length"),
)


def read_choice(choice: Any) -> Answer | str:
    """Return a choice as an answer, or the reason why it is none."""
    if not isinstance(choice, Mapping):
        return "a choice that is no object"
    seen = Seen(choice.get("finish_reason"), choice.get("message"), choice)
    row = next(row for row in TABLE if row.test(seen))
    if row.becomes is None:
        return f"{row.came}{_detail(seen)}"
    return Answer(_whole(seen.text or ""), row.becomes)


def read_completion(content: bytes) -> Completion:
    """Read the choices of a chat completion.

    Raises:
        ValueError: the body is no completion, but a page, a stream, an error or broken JSON.
    """
    body = parse_body(content)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        said = body.get("error") or body.get("message") or body.get("detail")
        raise ValueError(f"no choices{f', but {_short(said)}' if said else ''}")
    read = [read_choice(choice) for choice in choices]
    model = body.get("model")
    return Completion(
        [found for found in read if isinstance(found, Answer)],
        [found for found in read if isinstance(found, str)],
        _whole(model) if isinstance(model, str) else "",
    )


def parse_body(content: bytes) -> dict[str, Any]:
    """Parse a body as JSON: UTF-8, an object, and no key twice.

    Raises:
        ValueError: it is something else.
    """
    start = content[:64].lstrip().lower()
    if start.startswith(b"<"):
        raise ValueError(f"an HTML page ({page_text(content)})")
    if start.startswith((b"data:", b"event:", b":")):
        raise ValueError("a stream of events, which was not asked for")
    try:
        body = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_each_once)
    except RecursionError as error:
        raise ValueError("JSON that is too deep") from error
    if not isinstance(body, dict):
        raise ValueError(f"JSON that is no object: {_short(body)}")
    return body


def page_text(content: bytes) -> str:
    """Return the title of an HTML page, or the beginning of its text."""
    text = content[:4096].decode(errors="replace")
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    plain = title[1] if title else re.sub(r"<[^>]*>", " ", text)
    return " ".join(plain.split())[:SHOWN]


def without_thoughts(text: str) -> str | None:
    """Return the text after a model's thoughts; None if the thoughts do not end.

    A template may open the thoughts itself. Then only their closing tag is in the text.
    """
    if text.lstrip().startswith(CHANNEL):
        return text.rpartition(FINAL)[2].partition("<|")[0] if FINAL in text else None
    while opening := OPENING.match(text):
        closing = CLOSING.search(text, opening.end())
        if closing is None:
            return None
        text = text[closing.end() :]
    closing = CLOSING.search(text)
    if closing and not re.search(f"[<\\[]{closing[1]}[>\\]]", text[: closing.start()], re.I):
        text = text[closing.end() :]
    return text


def before_stops(answer: Answer, stops: Sequence[str]) -> Answer | None:
    """Cut an answer at the first stop string; None if that leaves no text.

    Servers cut there themselves, except those that do not accept the field.
    """
    cuts = [answer.text.find(stop) for stop in stops if stop in answer.text]
    if not cuts:
        return answer
    text = answer.text[: min(cuts)]
    return replace(answer, text=text, finish="stop") if text.strip() else None


def _detail(seen: Seen) -> str:
    """Return the detail of an unusable choice that its error should mention."""
    if seen.finish not in (STOP, LENGTH, None):
        return f": {_short(seen.finish)}"
    if seen.choice.get("error") or seen.of("refusal"):
        return f": {_short(seen.choice.get('error') or seen.of('refusal'))}"
    if seen.finish == LENGTH:
        return ", cut at the limit: more tokens may help"
    return ""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("JSON that names a key twice")
    return found


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and "message" in value:
        value = value["message"]
    return _whole(value if isinstance(value, str) else repr(value))[:SHOWN]


def _whole(text: str) -> str:
    """Replace half surrogate pairs, which no file can hold, by "?"."""
    return text.encode(errors="replace").decode()
