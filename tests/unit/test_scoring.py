"""Scorers: functions, polarity, several at once, and finding them by name."""

import pytest

from neat_align.errors import DataError, RewardError
from neat_align.scoring import (
    Combination,
    Polarity,
    RewardFunction,
    ScorerSet,
    check_scorer_value,
    resolve_scorer,
)
from neat_align.types import Group, Query, Response, Source


@pytest.fixture
def groups():
    responses = tuple(Response(text, source) for text, source in zip(("a", "bb", "ccc"), Source))
    return [Group(Query.from_text("q", topic="t"), responses)] * 2


def length(completions, **kwargs):
    return [float(len(c)) for c in completions]


async def later(completions, **kwargs):
    return [0.5] * len(completions)


def only_long(completions, **kwargs):
    return [1.0 if len(c) > 1 else None for c in completions]


def narrow(completions, topic):
    assert set(topic) == {"t"}
    return [0] * len(completions)


def test_scores_are_weighted_summed_and_kept(groups):
    scored = ScorerSet([RewardFunction(length), RewardFunction(later)], [2.0, -1.0]).score(groups)
    assert [r.score for r in scored[1].responses] == [1.5, 3.5, 5.5]
    assert scored[0].responses[2].scores == {"length": 3.0, "later": 0.5}


def test_a_scorer_that_does_not_apply_is_left_out_of_the_sum(groups):
    scored = ScorerSet([RewardFunction(length), RewardFunction(only_long)]).score(groups)
    assert [r.score for r in scored[0].responses] == [1.0, 3.0, 4.0]
    assert scored[0].responses[0].scores["only_long"] is None
    with pytest.raises(RewardError, match="gave None for it"):
        ScorerSet([RewardFunction(only_long)]).score(groups)


def test_a_score_too_large_for_the_loss_is_refused(groups):
    scorers = [RewardFunction(length)]
    ScorerSet(scorers, [1e29]).score(groups)
    with pytest.raises(RewardError, match=r"no number up to 1e\+30 in size"):
        ScorerSet(scorers, [1e300]).score(groups)
    (response, *_) = groups[0].responses
    with pytest.raises(DataError, match=r"up to 1e\+30"):
        Group(groups[0].query, (response.with_scores({}, 1e300),))


def test_functions_without_keyword_arguments_get_what_they_name(groups):
    assert RewardFunction(narrow).score(groups) == [[0.0] * 3] * 2


def test_polarity_scores_the_source():
    responses = tuple(Response("x", s) for s in (Source.POSITIVE, Source.PLAIN, Source.NEGATIVE))
    assert Polarity().score([Group(Query.from_text("q"), responses)]) == [[1.0, 0.0, -1.0]]


def test_equal_names_are_told_apart(groups):
    scored = ScorerSet([RewardFunction(length), RewardFunction(length)]).score(groups)
    assert set(scored[0].responses[0].scores) == {"length_1", "length_2"}


@pytest.mark.parametrize(("scorers", "weights"), [([], None), ([Polarity()], [1.0, 2.0])])
def test_scorers_and_weights_must_match(scorers, weights):
    with pytest.raises(RewardError, match="weights"):
        ScorerSet(scorers, weights)


def test_names_are_resolved(tmp_path):
    (tmp_path / "mine.py").write_text("def f(completions): return [1.0] * len(completions)\n")
    assert resolve_scorer(f"{tmp_path}/mine.py:f").name == "f"
    assert resolve_scorer("polarity").name == "polarity"
    assert resolve_scorer("math:fsum").name == "fsum"
    assert isinstance(resolve_scorer(length), RewardFunction)
    with pytest.raises(RewardError, match="type int"):
        resolve_scorer(3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.py:f", "no absent.py"),
        ("{}/mine.py:ff", "no function 'ff'"),
        ("{}/broken.py:f", "not Python"),
        ("nomodule:f", "no module 'nomodule'"),
        ("{}/missing", "no such directory"),
    ],
)
def test_names_are_checked_before_anything_is_loaded(tmp_path, name, words):
    (tmp_path / "mine.py").write_text("def f(): pass\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (problem,) = check_scorer_value(name.format(tmp_path))
    assert words in str(problem)
    with pytest.raises(Exception, match="why:"):
        resolve_scorer(name.format(tmp_path))


def test_a_reward_named_twice_counts_twice_in_the_evaluation(groups, tmp_path, monkeypatch):
    from neat_align.evaluation.assembly import Place, outside_scorers

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "def f(completions):\n    return [len(c) for c in completions]\n"
    )
    names = ["own.py:f", "own.py:f"]
    scorer = outside_scorers(names, [1, 2], Combination(), {}, Place())["train"]
    assert scorer.score(groups)[0] == [3.0, 6.0, 9.0]
