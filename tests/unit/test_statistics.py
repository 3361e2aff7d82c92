"""Intervals against published and exact values, and against how often they are right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neat_align.evaluation.statistics import (
    Z,
    clustered_share,
    mean_interval,
    paired_difference,
    perplexity_interval,
    share_difference,
    share_interval,
)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_the_published_values(count, n, low, high):
    found = share_interval(count, n)
    assert (found.value, found.n) == (count / n, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_mirrors():
    few, many = share_interval(3, 40), share_interval(37, 40)
    assert few.low == pytest.approx(1 - many.high)
    assert few.high == pytest.approx(1 - many.low)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_an_impossible_share_is_refused(count, n):
    with pytest.raises(ValueError, match="share"):
        share_interval(count, n)


def test_one_response_a_query_is_the_plain_wilson_interval():
    outcomes = [True] * 7 + [False] * 33
    assert clustered_share(outcomes, range(40)) == share_interval(7, 40)


def test_responses_that_only_repeat_their_query_add_no_certainty():
    outcomes = [i < 10 for i in range(40) for _ in range(5)]
    found = clustered_share(outcomes, [i for i in range(40) for _ in range(5)])
    alone = share_interval(10, 40)
    assert found.n == 200
    assert found.low == pytest.approx(alone.low, abs=1e-3)
    assert found.high == pytest.approx(alone.high, abs=1e-3)


def test_no_harm_in_many_draws_of_few_queries_is_no_proof():
    found = clustered_share([False] * 100, [i % 10 for i in range(100)])
    assert found.high == pytest.approx(share_interval(0, 10).high)


def test_mean_interval_agrees_with_the_normal_one():
    data = np.random.default_rng(0).normal(3, 2, 400)
    half = Z * data.std(ddof=1) / math.sqrt(400)
    found = mean_interval(data)
    assert found.value == pytest.approx(data.mean())
    assert found.low == pytest.approx(data.mean() - half, abs=0.03)
    assert found.high == pytest.approx(data.mean() + half, abs=0.03)


def test_mean_interval_resamples_whole_clusters():
    means = np.random.default_rng(1).normal(size=50)
    alone = mean_interval(means)
    repeated = mean_interval(np.repeat(means, 4), clusters=[i for i in range(50) for _ in range(4)])
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low)
    assert repeated.n == 200


def test_the_bootstrap_is_fixed_by_its_seed():
    data = np.random.default_rng(0).normal(size=30)
    assert mean_interval(data, seed=3) == mean_interval(data, seed=3)
    assert mean_interval(data, seed=3) != mean_interval(data, seed=4)


def test_the_bootstrap_of_many_values_goes_block_by_block(monkeypatch):
    from neat_align.evaluation import statistics

    data = np.random.default_rng(0).normal(size=300)
    whole = mean_interval(data)
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    parts = mean_interval(data)
    assert parts.low == pytest.approx(whole.low, abs=0.02)
    assert parts.high == pytest.approx(whole.high, abs=0.02)


def test_the_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        mean_interval([])


def test_perplexity_is_weighted_by_tokens():
    found = perplexity_interval([10.0, 2.0], [5, 1])
    assert found.value == pytest.approx(math.exp(2))
    assert found.low == pytest.approx(math.exp(2)) == found.high
    assert found.n == 2
    with pytest.raises(ValueError, match="nothing"):
        perplexity_interval([0.0], [0])


def test_paired_difference_is_narrower_than_two_separate_intervals():
    rng = np.random.default_rng(0)
    query = rng.normal(0, 5, 200)
    first, second = query + rng.normal(1, 0.5, 200), query + rng.normal(0, 0.5, 200)
    found = paired_difference(first, second)
    assert 0.8 < found.low < 1 < found.high < 1.2
    assert mean_interval(first).low < mean_interval(second).high


def test_pairs_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="3 values cannot be paired with 2"):
        paired_difference([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="cannot be paired"):
        share_difference([True], [])


def test_share_difference_without_correlation_joins_the_wilson_intervals():
    """With one margin 0 the correlation is undefined and the limits have a closed form."""
    one, two = share_interval(0, 50), share_interval(45, 50)
    found = share_difference([False] * 50, [True] * 45 + [False] * 5)
    assert found.value == pytest.approx(-0.9)
    assert found.low == pytest.approx(-0.9 - math.hypot(0 - one.low, two.high - 0.9))
    assert found.high == pytest.approx(-0.9 + math.hypot(one.high - 0, 0.9 - two.low))


def test_two_models_without_a_failure_are_not_proven_equal():
    found = share_difference([False] * 20, [False] * 20)
    assert found.value == 0
    assert found.low < -0.1
    assert found.high > 0.1


def test_share_difference_is_antisymmetric():
    first, second = [True] * 12 + [False] * 28, [True] * 20 + [False] * 20
    there, back = share_difference(first, second), share_difference(second, first)
    assert there.low == pytest.approx(-back.high)
    assert there.high == pytest.approx(-back.low)


def test_share_difference_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    hits, runs = 0, 400
    for _ in range(runs):
        hard = rng.random(80) < 0.3  # pairs share their query's difficulty
        first = rng.random(80) < np.where(hard, 0.5, 0.05)
        second = rng.random(80) < np.where(hard, 0.9, 0.2)
        found = share_difference(list(first), list(second))
        hits += found.low <= (0.3 * 0.5 + 0.7 * 0.05) - (0.3 * 0.9 + 0.7 * 0.2) <= found.high
    assert 0.92 <= hits / runs <= 0.985
