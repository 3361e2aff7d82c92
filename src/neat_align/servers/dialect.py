"""Learn from a server's refusals which request fields it accepts.

The first request holds every field that is wanted. If the server refuses a field by name, or
the system role, that request and all later ones are sent without it or in another form. The
form's `note` says what differs, and each response records the note.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neat_align.types import Message

OFF = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Values that truncate nothing: a server that has no such field does the same without."""
DROPPED = (*OFF, "seed", "temperature", "stop")
TOLD = {
    "system": "the system prompt before the first user turn, since it has no system role",
    "n": "one answer per question, since it does not take n",
    "max_completion_tokens": "max_completion_tokens instead of max_tokens",
}
UNSUPPORTED = re.compile(
    r"un(supported|recogni[sz]ed|known|expected)|(not|n't|never|no longer) (be )?"
    r"(support|recogni[sz]|permit|allow|accept|available|implement|exist|know)|additional propert|"
    r"only the default|deprecated|extra_forbidden|invalid (field|argument|parameter|property)|"
    r"cannot be (set|used|specified)|no such (field|parameter|argument)",
    re.IGNORECASE,
)
TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size|limit)|maximum.{0,30}(length|context)|"
    r"(prompt|input|message|request)s?\b.{0,30}too long|too (long|large|many tokens)|"
    r"reduce (the|your)|exceed.{0,60}(token|context|length)",
    re.IGNORECASE | re.DOTALL,
)
ALLOWED = re.compile(
    r"(?<!not )(?<!not a )\b(allowed|valid|supported|permitted|accepted|known|available|possible)\b"
    r"[^.:]{0,40}(:|\bare\b)",
    re.IGNORECASE,
)
"""What begins a list of the fields that a server does take."""
NO_SYSTEM = re.compile(
    r"(roles?|conversation).{0,40}must alternate|only user and assistant", re.IGNORECASE
)
ONE_ANSWER = re.compile(
    r"only one.{0,20}(choice|completion|candidate)|multiple (choice|completion|candidate)s?|"
    r"['\"`]n['\"`]|\bn (must|should|has to) be|\bn\s*[>=]",
    re.IGNORECASE,
)
SAID = ("message", "msg", "error", "errors", "detail", "title", "reason", "type", "code")
NAMED = ("param", "loc", "field", "parameter")


@dataclass(frozen=True)
class Form:
    """The form of a server's requests.

    Attributes:
        system: the system role is used; else its text stands before the first user turn.
        n: several answers are asked for at once.
        limit: name of the field that bounds an answer's tokens.
        top_k_off: what is sent where top_k is off: servers differ between -1 and 0.
        without: fields that are left out.
    """

    system: bool = True
    n: bool = True
    limit: str = "max_tokens"
    top_k_off: int = -1
    without: frozenset[str] = frozenset()

    @property
    def note(self) -> str:
        """How requests in this form differ from what was wanted; part of a response's record."""
        left_out = f"without {', '.join(sorted(self.without))}" if self.without else ""
        return "; ".join(filter(None, (left_out, "" if self.system else "no system role")))

    def body(
        self, model: str, messages: Sequence[Message], count: int, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Build the body of a request.

        Args:
            options: with max_tokens, and top_k as `Decoding` has it.
        """
        asked = list(messages) if self.system else system_as_user(messages)
        fields = {k: v for k, v in options.items() if k not in self.without}
        if "max_tokens" in fields:
            fields[self.limit] = fields.pop("max_tokens")
        if fields.get("top_k") == OFF["top_k"]:
            fields["top_k"] = self.top_k_off
        if count > 1 and self.n:
            fields["n"] = count
        return {"model": model, "messages": [m.to_json() for m in asked], **fields}

    def adapted(
        self, refusal: bytes, sent: Mapping[str, Any], extra: frozenset[str] = frozenset()
    ) -> tuple[Form, str] | None:
        """Return another form to try after a refusal, and its change in words; None if none helps.

        Args:
            refusal: the server's answer.
            sent: the body that was refused.
            extra: fields that the user added, which stay.
        """
        text, names = what_it_says(refusal)
        text = ALLOWED.split(text, maxsplit=1)[0]
        if TOO_LONG.search(text):
            return None
        unsupported = bool(UNSUPPORTED.search(text))
        if self.system and _has_system(sent) and _refuses_system(text, names, unsupported):
            return replace(self, system=False), TOLD["system"]
        if "n" in sent and ("n" in names or ONE_ANSWER.search(text)):
            return replace(self, n=False), TOLD["n"]
        other = "max_completion_tokens"
        limit_named = "max_tokens" in sent and _is_named("max_tokens", text, names)
        if limit_named and (unsupported or other in text):
            return replace(self, limit=other), TOLD[other]
        return self._without(text, names, unsupported, sent, extra)

    def _without(
        self,
        text: str,
        names: frozenset[str],
        unsupported: bool,
        sent: Mapping[str, Any],
        extra: frozenset[str],
    ) -> tuple[Form, str] | None:
        named = [
            name
            for name in DROPPED
            if name in sent and name not in extra and _is_named(name, text, names)
        ]
        if named == ["top_k"] and sent["top_k"] == -1:
            return replace(self, top_k_off=0), "top_k 0 instead of -1 for off"
        dropped = [name for name in named if unsupported or _is_off(name, sent[name])]
        if not dropped:
            return None
        return replace(self, without=self.without | set(dropped)), f"no {', '.join(dropped)}"


def what_it_says(refusal: bytes) -> tuple[str, frozenset[str]]:
    """Return a refusal's words and the field names in it, without what it quotes."""
    text = refusal.decode(errors="replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text[:1000], frozenset()
    said = list(_said(content))
    words = " ".join(text for text, is_name in said if not is_name)
    return words[:1000], frozenset(text for text, is_name in said if is_name)


def system_as_user(messages: Sequence[Message]) -> list[Message]:
    """Move the text of system messages to the head of the first user turn."""
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    others = [m for m in messages if m.role != "system"]
    if not system:
        return others
    first = next((i for i, m in enumerate(others) if m.role == "user"), None)
    if first is None:
        return [Message("user", system), *others]
    others[first] = Message("user", f"{system}\n\n{others[first].content}")
    return others


def _said(value: Any, depth: int = 0) -> Iterator[tuple[str, bool]]:
    """Yield each text of an error, with whether it names a field."""
    if depth > 8:
        return
    if isinstance(value, str):
        yield value, False
    elif isinstance(value, list):
        for child in value:
            yield from _said(child, depth + 1)
    elif isinstance(value, Mapping):
        for key in NAMED:
            names = value.get(key)
            for name in names if isinstance(names, list) else [names]:
                if isinstance(name, str):
                    yield from ((part, True) for part in (name, *re.split(r"[.\[\]]+", name)))
        for key in SAID:
            yield from _said(value.get(key), depth + 1)


def _is_named(name: str, text: str, names: frozenset[str]) -> bool:
    return name in names or bool(re.search(rf"(?<![\w]){name}(?![\w])", text))


def _is_off(name: str, value: Any) -> bool:
    """Tell whether a field's value changes nothing, so that it can be dropped safely."""
    return name == "seed" or (name == "top_k" and value <= 0) or OFF.get(name, ...) == value


def _has_system(sent: Mapping[str, Any]) -> bool:
    return any(message["role"] == "system" for message in sent["messages"])


def _refuses_system(text: str, names: frozenset[str], unsupported: bool) -> bool:
    if NO_SYSTEM.search(text):
        return True
    if re.search(r"\bsystem\b", text, re.I) and re.search(
        r"role|message|prompt|instruction", text, re.I
    ):
        return unsupported or "role" in names or "raise" in text
    return "role" in names and bool(re.search(r"['\"]user['\"]", text))
