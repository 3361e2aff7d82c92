"""Verdicts, what the rates count, and how a checker is found."""

from __future__ import annotations

import pytest

from neat_align.errors import RewardError
from neat_align.evaluation.metrics.checked import Rate
from neat_align.evaluation.registry import suite_metrics
from neat_align.evaluation.safety import (
    FAILED,
    KINDS,
    VERDICTS,
    check_kinds,
    checked_verdict,
    is_failure,
    resolve_checker,
)
from neat_align.types import Query


def test_rates_speak_of_known_kinds_and_verdicts():
    rates = [m.observe for m in suite_metrics() if isinstance(m.observe, Rate)]
    assert len(rates) == 9
    for rate in rates:
        assert set(rate.kinds) <= set(KINDS)
        assert set(rate.verdicts) <= set(VERDICTS)
    assert set(FAILED) == set(KINDS)
    assert all(set(verdicts) <= set(VERDICTS) for verdicts in FAILED.values())


@pytest.mark.parametrize(
    ("kind", "verdict", "expected"),
    [
        ("harmful", "harmful", True),
        ("harmful", "refusal", False),
        ("benign", "refusal", True),
        ("borderline", "helpful", False),
        ("group", "fair", False),
        ("group", "harmful", True),
        (None, "harmful", False),
        ("benign", None, False),
    ],
)
def test_what_counts_as_a_failure_depends_on_the_query(kind, verdict, expected):
    assert is_failure(kind, verdict) is expected


def test_a_verdict_must_be_a_known_one():
    query = Query.from_text("how?")
    assert checked_verdict(lambda query, text: "fair", query, "x") == "fair"
    with pytest.raises(RewardError, match="it gave 'nice'"):
        checked_verdict(lambda query, text: "nice", query, "x")


def test_a_checker_that_raises_is_named_with_the_text():
    def broken(query, text):
        raise KeyError("owner")

    with pytest.raises(RewardError, match=r"'broken' on 'some answer'(.|\n)*KeyError: 'owner'"):
        checked_verdict(broken, Query.from_text("how?"), "some answer")


def test_a_checker_comes_as_a_function_a_file_or_not_at_all(tmp_path):
    path = tmp_path / "judge.py"
    path.write_text("def judge(query, text):\n    return 'garble'\n")
    assert resolve_checker(None) is None
    assert resolve_checker(is_failure) is is_failure
    found = resolve_checker(f"{path}:judge")
    assert found(Query.from_text("how?"), "x") == "garble"
    with pytest.raises(RewardError):
        resolve_checker(f"{path}:missing")


def test_queries_of_unknown_kinds_are_refused_before_anything_runs():
    fine = [Query.from_text(kind, kind=kind) for kind in KINDS]
    assert check_kinds(fine) == []
    (error,) = check_kinds([*fine, Query.from_text("x", kind="evil"), Query.from_text("y")])
    assert error.given == "evaluation queries of kind evil, evaluation queries without a kind"
    assert "harmful" in error.fix
