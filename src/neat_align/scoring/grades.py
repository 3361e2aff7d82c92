"""Read the grade that a judge's answer names: one whole number in range, or none."""

from __future__ import annotations

import re

QUOTES = r"[\s*_\"'`#]*"
"""Blanks, and what markdown puts around words."""
MENTION = re.compile(
    rf"(?<!\w)grade(?!\w){QUOTES}"
    r"(?:[(\[][^()\[\]\n]{0,40}[)\]]|out of [0-9]+)?"  # of the scale: Grade (1-10): 7
    rf"{QUOTES}(?::|：|=|(?<=\s)[-–—](?=\s))",
    re.IGNORECASE,
)
ON_A_LINE = re.compile(
    r"^\W*grade(?=\W+[0-9]+(?:\s*/\s*[0-9]+)?\W*$)", re.IGNORECASE | re.MULTILINE
)
NUMBER = re.compile(r"[\s*_\"'`(\[{$]*(?:\\boxed\{)?([0-9]{1,4})(?![0-9])(?:\.0+(?![0-9]))?")
SCALE = re.compile(r"[\s*_\"'`)\]}(]*(?:/|out of\b|of\b)\s*([0-9]+)(?!\.?[0-9])", re.IGNORECASE)
ANOTHER = re.compile(
    r"\w|%|[.,][0-9]|[*_]*[^\S\n]*(?:[-–—−~/,&]|\bor\b|\bto\b|\band\b)?[^\S\n]*[0-9]", re.IGNORECASE
)
"""What makes a number none: a fraction, a percentage, a range, or a second number."""


def parsed_grade(text: str, best: int) -> int | None:
    """Read the grade after the last "Grade:" of an answer; None without one from 1 to `best`.

    An earlier grade counts no more, also where the last one is none: the judge took it back.
    """
    mentions = [*MENTION.finditer(text), *ON_A_LINE.finditer(text)]
    if not mentions:
        return None
    rest = text[max(mention.end() for mention in mentions) :]
    number = NUMBER.match(rest)
    if number is None:
        return None
    rest = rest[number.end() :]
    scale = SCALE.match(rest)
    if scale is not None:
        if int(scale[1]) != best:
            return None
        rest = rest[scale.end() :]
    grade = int(number[1])
    return grade if not ANOTHER.match(rest) and 1 <= grade <= best else None
