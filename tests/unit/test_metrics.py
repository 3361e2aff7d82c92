"""Diversity and repetition of texts."""

from __future__ import annotations

import pytest

from neat_align.texts import distinct_n, ngrams, repetition


def test_ngrams():
    assert ngrams("a b  c\nd", 2) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert ngrams("a", 2) == []


@pytest.mark.parametrize(
    ("texts", "n", "expected"),
    [
        (["a b c", "a b d"], 1, 4 / 6),
        (["a b c", "a b d"], 2, 3 / 4),
        (["same words", "same words"], 2, 1 / 2),
        (["", "one"], 2, 0.0),
        ([], 1, 0.0),
    ],
)
def test_distinct_n(texts, n, expected):
    assert distinct_n(texts, n) == pytest.approx(expected)


def test_ngrams_do_not_run_from_one_text_into_the_next():
    assert distinct_n(["a b", "c d"], 2) == 1.0
    assert len(ngrams("a b", 2)) + len(ngrams("c d", 2)) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three four five", 0.0),
        ("no no no no no no no", 3 / 4),
        ("too short here", 0.0),
        ("", 0.0),
    ],
)
def test_repetition_is_the_share_of_four_word_runs_seen_before(text, expected):
    assert repetition(text) == pytest.approx(expected)
