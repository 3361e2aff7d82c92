"""Diversity and repetition of texts, and when two are one."""

from __future__ import annotations

from collections.abc import Sequence


def folded(text: str) -> str:
    """Return a text without what two writings of it may differ in: blanks, and capitals."""
    return " ".join(text.split()).casefold()


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the runs of n neighbouring words."""
    words = text.split()
    return list(zip(*(words[i:] for i in range(n))))


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Divide different n-grams by all n-grams of the texts (Li et al. 2016); 0 when there is none.

    It falls as the number of texts grows: compare equal numbers only.
    """
    found = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(found)) / len(found) if found else 0.0


def repetition(text: str) -> float:
    """Return the share of a text's 4-grams that occurred in it before; 0 for a short text."""
    found = ngrams(text, 4)
    return 1 - len(set(found)) / len(found) if found else 0.0
