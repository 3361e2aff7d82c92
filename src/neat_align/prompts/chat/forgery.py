"""Escape text that imitates the chat template, so that no text can forge a turn.

What frames a conversation is special tokens and, in many formats, plain text ("<|user|>",
"[INST]", "Human:"). Special tokens in a text are read as the characters they are spelt with;
`prompt_format` sees to that. Plain markers cannot be told from the frame once they are
tokens, so a space is put into them.

A template may change what it is given (trim it, write it as JSON, cut its thoughts), so a
spelt special token cannot be found again in what it renders by its place. A private-use
character stands for it while the template works (`hidden`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

LONGEST = 32  # characters of a marker; longer text in a frame is a default system prompt
DEEPEST = 8  # markers within markers
PLACE = 0xF0000
"""Private-use characters from here on stand for something else while a template works."""
PLACES = range(PLACE, PLACE + 0xFFFE)
WORD = re.compile(r"(\n*)\s*(\w+:)\s*")


def marker_pattern(
    frames: Iterable[str], specials: Iterable[str], apart_from: Collection[str] = ()
) -> re.Pattern[str] | None:
    """Compile a pattern of a frame's plain-text markers; None where it has none.

    Args:
        frames: text around the contents of conversations, cut at the contents.
        specials: spellings of the special tokens, which are no plain text.
        apart_from: markers that a text may hold.
    """
    between = "|".join(re.escape(s) for s in sorted(specials, key=len, reverse=True) if s)
    texts = [t for f in frames for t in (re.split(between, f) if between else [f])]
    found = {m for t in texts for m in _markers(t)} - {*apart_from}
    markers = sorted(found, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, markers))) if markers else None


def broken(text: str, markers: re.Pattern[str] | None) -> str:
    """Put a space into each marker of a text, behind its line ends or its first letter."""
    for _ in range(DEEPEST):
        if markers is None or not markers.search(text):
            break
        text = markers.sub(_with_space, text)  # what was a part of a longer marker, too
    return text


def spelling(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """Compile a pattern of the spellings of tokens; None without tokens."""
    longest_first = sorted({t for t in tokens if t}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def hidden(value: Any, spelt: re.Pattern[str] | None) -> tuple[Any, dict[str, str]]:
    """Replace spelt special tokens by private-use characters; return what each stands for, too.

    Args:
        value: texts in lists and mappings, at any depth.
        spelt: matches what must not be spelt.
    """
    texts = list(_texts(value))
    found = sorted({t for text in texts for t in spelt.findall(text)}) if spelt else []
    if not found:
        return value, {}
    used = {character for text in texts for character in text}
    free = (chr(place) for place in PLACES if chr(place) not in used)
    standing = dict(zip(found, free, strict=False))
    assert spelt is not None
    return _replaced(value, spelt, standing), {c: token for token, c in standing.items()}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _replaced(value: Any, spelt: re.Pattern[str], standing: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return spelt.sub(lambda found: standing[found[0]], value)
    if isinstance(value, Mapping):
        return {
            _replaced(k, spelt, standing): _replaced(v, spelt, standing) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [_replaced(inner, spelt, standing) for inner in value]
    return value


def _markers(text: str) -> set[str]:
    """Find the markers in a piece of a frame; a role's bare name is none."""
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
