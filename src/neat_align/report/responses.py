"""The responses a report shows: which, beside what, and which of them failed."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from neat_align.evaluation.safety import is_failure
from neat_align.evaluation.statistics import share_interval

SHOWN_PAIRS = 40
SHOWN_FAILURES = 40
SHOWN_CHARACTERS = 600
CONDITIONS = {
    "plain": "no steering prompt",
    "seen_negative": "negative prompt that training used",
    "unseen_negative": "negative prompt that training never used",
}

Sample = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """The aligned model's response beside the base's to the same query and draw."""

    aligned: Sample
    base: Sample | None

    @property
    def failed(self) -> bool:
        """The checker's verdict is not one that such a query should get."""
        return is_failure(self.aligned.get("kind"), self.aligned.get("verdict"))

    @property
    def condition(self) -> str:
        """A known condition; the page uses it as a class, so it never is a text of data."""
        condition = self.aligned.get("condition")
        return str(condition) if condition in CONDITIONS else "plain"

    def loss(self, scorer: str) -> float:
        """How much less than the base's response a scorer likes this one; 0 if unknown."""
        own = self.aligned.get("scores", {}).get(scorer)
        before = (self.base or {}).get("scores", {}).get(scorer)
        return 0.0 if own is None or before is None else before - own


@dataclass(frozen=True)
class Failures:
    """What to show of the failures.

    Attributes:
        judge: "checker", the name of a scorer, or "" where nothing judged the responses.
        count: failures, or responses that the scorer likes less than the base's.
        total: responses judged.
        shown: those shown.
        verdicts: how many failures of each verdict, the most frequent first.
        at_most: upper 95 % limit of the share of failures, in words.
    """

    judge: str = ""
    count: int = 0
    total: int = 0
    shown: list[Pair] = field(default_factory=list)
    verdicts: list[tuple[str, int]] = field(default_factory=list)
    at_most: str = ""


def pairs(samples: Mapping[str, Sequence[Sample]], aligned: str) -> list[Pair]:
    """Every response of the aligned model, the base's beside it where there is one."""
    base = {_key(s): s for s in samples.get("base", ())}
    return [Pair(s, base.get(_key(s))) for s in samples.get(aligned, ())]


def failures(found: Sequence[Pair]) -> Failures:
    """By the checker's verdict; without one, where a scorer prefers the base's response."""
    judged = [p for p in found if p.aligned.get("verdict") is not None]
    if judged:
        failed = [p for p in judged if p.failed]
        count = Counter(str(p.aligned["verdict"]) for p in failed).most_common()
        limit = f"{100 * share_interval(len(failed), len(judged)).high:.1f} %"
        shown = spread(failed, SHOWN_FAILURES)
        return Failures("checker", len(failed), len(judged), shown, count, limit)
    scorer = _scorer(found)
    if not scorer:
        return Failures()
    lost = sorted((p for p in found if p.loss(scorer) > 0), key=lambda p: -p.loss(scorer))
    return Failures(scorer, len(lost), len(found), lost[:SHOWN_FAILURES])


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly spaced: every so-manieth one, none chosen by hand."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def visible(text: object) -> str:
    """Text with control, bidirectional and other invisible characters spelt out."""
    return "".join(map(_visible, str(text).replace("\r\n", "\n")))


def shortened(text: object) -> str:
    """Cut a long text to its beginning, and say how much more there is."""
    whole = str(text)
    if len(whole) <= SHOWN_CHARACTERS:
        return whole
    return f"{whole[:SHOWN_CHARACTERS]} … ({len(whole) - SHOWN_CHARACTERS} more characters)"


def _visible(c: str) -> str:
    hidden = unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return f"⟨U+{ord(c):04X}⟩" if hidden and c not in "\n\t" else c


def _scorer(found: Sequence[Pair]) -> str:
    """Choose the held-out scorer if it scored anything, else the training scorer, else ""."""
    for scorer in ("heldout", "train"):
        if any(p.aligned.get("scores", {}).get(scorer) is not None for p in found):
            return scorer
    return ""


def _key(sample: Sample) -> tuple[Any, ...]:
    return tuple(sample.get(name) for name in ("query_id", "condition", "steering", "seed"))
