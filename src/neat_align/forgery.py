"""A query's text must not pass for the frame around it: no turn can be forged.

What frames a conversation is special tokens and, in many formats, plain text ("<|user|>",
"[INST]", "Human:"). Special tokens in a text are read as the characters they are spelt with;
`prompt_format` sees to that. Plain markers cannot be told from the frame once they are
tokens, so a space is put into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 32  # characters of a marker; longer text in a frame is a default system prompt
DEEPEST = 8  # markers within markers
WORD = re.compile(r"(\n*)\s*(\w+:)\s*")


def marker_pattern(frames: Iterable[str], specials: Iterable[str]) -> re.Pattern[str] | None:
    """What matches a frame's plain markers in a text; None where it has none.

    Args:
        frames: text around the contents of conversations, cut at the contents.
        specials: spellings of the special tokens, which are no plain text.
    """
    between = "|".join(re.escape(s) for s in sorted(specials, key=len, reverse=True) if s)
    texts = [t for f in frames for t in (re.split(between, f) if between else [f])]
    markers = sorted({m for t in texts for m in _markers(t)}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, markers))) if markers else None


def broken(text: str, markers: re.Pattern[str] | None) -> str:
    """The text with a space put into each marker, behind its line ends or its first letter."""
    for _ in range(DEEPEST):
        if markers is None or not markers.search(text):
            break
        text = markers.sub(_with_space, text)  # what was a part of a longer marker, too
    return text


def _markers(text: str) -> set[str]:
    """The markers in a piece of a frame; a role's bare name is none."""
    if word := WORD.fullmatch(text):  # "Human:" is a word, but a turn where a frame breaks lines
        return {word[1] + word[2]} if word[1] else set()
    parts = {text.strip(), *text.split()}
    return {
        part
        for part in parts
        if 3 <= len(part) <= LONGEST and not part.isalnum() and any(map(str.isalnum, part))
    }


def _with_space(match: re.Match[str]) -> str:
    body = match[0].lstrip("\n")
    lines = match[0][: len(match[0]) - len(body)]
    return f"{lines} {body}" if lines else f"{body[0]} {body[1:]}"
