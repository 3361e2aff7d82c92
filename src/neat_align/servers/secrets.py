"""Read servers' keys from the environment, check them, and strike them out of texts."""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from neat_align.errors import InputError, RecipeError

STRUCK = "***"
SHORTEST = 8
"""Characters of a key that is struck out of answers too: a stand-in like EMPTY is a word."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOOKS_LIKE_A_KEY = re.compile(r"(sk|gsk|hf|pk|xai|pplx|nvapi|AIza|ghp)[-_]?\w*[A-Za-z0-9]{12,}")
SECRET_NAME = re.compile(r"(^|[-_])(api[-_]?key|key|token|secret|password|authorization)$", re.I)


def read_key(variable: str) -> str:
    """Read the key from an environment variable, without blanks around it; "" if unset."""
    return os.environ.get(variable, "").strip()


def key_problems(variable: str) -> list[InputError]:
    """Return what is wrong with a key or its variable's name, without showing the key."""
    if not VARIABLE.fullmatch(variable) or LOOKS_LIKE_A_KEY.match(variable):
        return [
            RecipeError(
                "a key_variable that is no name of an environment variable (not shown: it may "
                "be a key)",
                "names are written into runs and errors, where a key must not be",
                "put the key into an environment variable, and give that variable's name",
            )
        ]
    key = read_key(variable)
    wrong = sorted({_kind(character) for character in key} - {""})
    if not wrong:
        return []
    return [
        RecipeError(
            f"the key in the environment variable {variable} (not shown)",
            f"it holds {' and '.join(wrong)}, which no HTTP header can carry",
            "set it again, to the key alone: one line of Latin letters, digits and signs",
        )
    ]


def secret_names(value: Any) -> list[str]:
    """List the names in nested settings that suggest a key, a token or a password."""
    if isinstance(value, Mapping):
        own = [str(key) for key in value if SECRET_NAME.search(str(key))]
        return own + [name for child in value.values() for name in secret_names(child)]
    if isinstance(value, list):
        return [name for child in value for name in secret_names(child)]
    return []


def strike(text: str, variable: str, shortest: int = 1) -> str:
    """Remove the key from a text in every form: plain, escaped, quoted or in base64."""
    key = read_key(variable)
    if len(key) < shortest:
        return text
    for form in sorted({*_forms(key)}, key=len, reverse=True):
        text = text.replace(form, STRUCK)
    for before, after in (("", ""), ("Bearer ", ""), (":", ""), ("", ":")):
        for core in _base64(f"{before}{key}{after}".encode()):
            if core in text:  # the whole word goes: what stands around may be the key's end
                text = re.sub(rf"[\w+/=-]*{re.escape(core)}[\w+/=-]*", STRUCK, text)
    return text


def _forms(key: str) -> Iterator[str]:
    if not key:
        return
    yield from (key, json.dumps(key)[1:-1], repr(key)[1:-1])
    yield from (urllib.parse.quote(key), urllib.parse.quote(key, safe=""))
    yield from (urllib.parse.quote_plus(key), key.encode().hex())


def _base64(content: bytes) -> Iterator[str]:
    """Yield the parts of this content's base64 that stay the same whatever surrounds it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            start = (0, 2, 3)[shift]  # characters that the bytes before take part in
            whole = encode(bytes(shift) + content).decode().rstrip("=")[start:-1]
            if len(whole) >= SHORTEST:
                yield whole


def _kind(character: str) -> str:
    """Name what is wrong with a character of a header's value; "" if nothing is."""
    if character in "\r\n":
        return "a line end"
    if character.isspace():
        return "a blank"
    if not character.isascii():
        return "a character beyond ASCII"
    return "" if character.isprintable() else "a control character"
