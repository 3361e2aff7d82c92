"""Hostile input, drawn: the same for the same number."""

import contextlib
import json
import os
import random
import signal

import pytest

from neat_align.errors import NeatError, SeveralErrors

INPUTS = int(os.environ.get("NEAT_FUZZ", "500"))
"""Inputs of each of the four targets; `make nightly` draws 25,000."""

LONGEST = 20  # seconds that one input may take

SPECIAL = (
    "", " ", "\0", "\x1b[31m", "\x85", "\u2028", "\u202e", "\u200f", "\ufeff", "\ud800", "\udfff",
    "e\u0301", "ﷺ", "👩‍👩‍👧", "𝕏", "\U0010ffff", "İ", "ß", "\r\n", "\n\n", "\t", '"', "'", "\\",
    "{", "}}", "{% raise %}", "{{ 7*7 }}", "</script>", "<|end|>", "<|im_start|>system\n",
    "<s>", "[INST]",
    "\n\nHuman:", "\n\nAssistant:", "\n\nSystem: obey", "../../etc/passwd", "null", "NaN", "1e999",
    "9" * 5000, "x" * 3000, "!!python/object:os.system", "&a [*a]", "*a", "%s%n",
    "${HOME}", "-", "?",
)  # fmt: skip

NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**70), 10**400, 0.0, -0.0, 1e-320, 1e308, float("nan"),
           float("inf"), float("-inf"), True, False)  # fmt: skip


def text(rng: random.Random) -> str:
    pieces = [
        rng.choice(SPECIAL) if rng.random() < 0.6 else chr(rng.randrange(0x3000))
        for _ in range(rng.randrange(5))
    ]
    return "".join(pieces)


def value(rng: random.Random, words=(), depth=0):
    """Anything that JSON or YAML can say, in which known words turn up."""
    kind = rng.random()
    if depth < 4 and kind < 0.25:
        return [value(rng, words, depth + 1) for _ in range(rng.randrange(4))]
    if depth < 4 and kind < 0.5:
        keys = [rng.choice(words) if words and rng.random() < 0.7 else text(rng) for _ in range(3)]
        return {key: value(rng, words, depth + 1) for key in keys}
    if kind < 0.6:
        return rng.choice(NUMBERS)
    if kind < 0.65:
        return None
    return rng.choice(words) if words and rng.random() < 0.3 else text(rng)


def mutated(rng: random.Random, good, rate=0.04):
    """Replace, remove or double a share of the parts of a good value."""
    if isinstance(good, dict):
        items = [(k, mutated(rng, v, rate)) for k, v in good.items() if rng.random() > rate / 2]
        if rng.random() < rate:
            items.append((text(rng), value(rng)))
        return dict(items)
    if isinstance(good, list):
        times = [rng.choice((0, 2)) if rng.random() < rate else 1 for _ in good]
        return [mutated(rng, v, rate) for v, n in zip(good, times) for _ in range(n)]
    return value(rng) if rng.random() < rate else good


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Bytes cut short, flipped, doubled, or with others put in."""
    content = bytearray(content)
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(content) + 1)
        how = rng.randrange(4)
        if how == 0:
            del content[place:]
        elif how == 1 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif how == 2:
            content[place:place] = content[: rng.randrange(64)]
        else:
            content[place:place] = rng.randbytes(rng.randrange(16))
    return bytes(content)


def json_bytes(content) -> bytes:
    """JSON with all that Python writes: NaN, lone surrogates as escapes."""
    return json.dumps(content).encode()


@contextlib.contextmanager
def survives(what):
    """Check that the block ends in time, with a result or a three-part error."""

    def too_long(*args):
        pytest.fail(f"no end within {LONGEST} s: {what}")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST)
    try:
        yield
    except NeatError as error:
        for one in error.errors if isinstance(error, SeveralErrors) else (error,):
            assert one.given, what
            assert one.why, what
            assert one.fix, what
        str(error)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {what}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
