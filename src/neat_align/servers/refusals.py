"""Tell refusals of one question from refusals of every question, and say what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from neat_align.servers.answers import page_text
from neat_align.servers.transport import Reply

OF_ONE_QUESTION = frozenset({400, 413, 422, 451})
"""Too long a text, a content filter; what is wrong with every question shows in their number."""
FLAGGED = re.compile(rb"moderation|flagged|content.?(policy|filter)", re.IGNORECASE)
"""What a 403 says of a text that a filter did not like (OpenRouter), and not of a key."""
LISTED = 20  # models


def is_of_one_question(reply: Reply) -> bool:
    """Tell whether a refusal concerns this question alone."""
    flagged = reply.status == 403 and FLAGGED.search(reply.content)
    return reply.status in OF_ONE_QUESTION or bool(flagged)


def text_of(reply: Reply) -> str:
    """Return what a reply says: its body, or the title of an HTML page."""
    is_page = reply.content.lstrip()[:1] == b"<"
    return page_text(reply.content) if is_page else reply.content.decode(errors="replace")


def fix_of(
    reply: Reply, variable: str, key: str, model: str, models: Callable[[], list[str]]
) -> str:
    """Say what to do about a refusal that every question would get.

    Args:
        key: "" where none was sent.
        models: asks the server for the names of its models.
    """
    if reply.status in (401, 403):
        if not key:
            return f"no key was sent, since the environment variable {variable} is not set: set it"
        return f"see whether the key in the environment variable {variable} is right for it"
    if 300 <= reply.status < 400:
        target = urlsplit(reply.headers.get("location", ""))
        host = target.netloc.rpartition("@")[2]
        where = f"{target.scheme}://{host}{target.path}" if host else target.path
        return f"it is somewhere else ({where}): give that address, up to the version"
    if reply.status == 404:
        return _models_hint(model, models()) or (
            "correct the address (up to the version, e.g. http://localhost:8000/v1), or the "
            "model's name"
        )
    if b"insufficient_quota" in reply.content:
        return "the account has no credit left: add some, and start again"
    return "correct what the server names: the model's name, the key, an option"


def _models_hint(model: str, known: list[str]) -> str:
    if not known or model in known:
        return ""
    near = difflib.get_close_matches(model, known, n=1)
    listed = ", ".join(known[:LISTED]) + (" …" if len(known) > LISTED else "")
    return f"{f'did you mean {near[0]!r}? ' if near else ''}the server's models: {listed}"
