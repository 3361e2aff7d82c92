"""Figures of parts of a batch are told as those of the whole, however it was cut."""

from statistics import fmean, pstdev

import pytest

from neat_align.objectives import NEAT
from neat_align.training import running_means
from neat_align.training.metrics import group_metrics
from neat_align.training.running_means import Moments, RunningMeans
from neat_align.training.signal import signal_of
from neat_align.types import Group, Query, Response, Source

NUMBERS = [1e6 + x for x in (0.1, 0.5, 0.2, 0.9, 0.4, 0.7)]


@pytest.mark.parametrize("cut", range(7))
def test_moments_of_parts_are_those_of_the_whole(cut):
    whole = Moments.of(NUMBERS[:cut]) + Moments.of(NUMBERS[cut:])
    assert (whole.count, whole.mean) == (6, pytest.approx(fmean(NUMBERS)))
    assert whole.deviation == pytest.approx(pstdev(NUMBERS), rel=1e-6)
    assert (Moments() + Moments()).deviation == 0


def group(number, *scored):
    responses = [Response(f"answer {i}", source, score=s) for i, (source, s) in enumerate(scored)]
    return Group(Query.from_text(f"question {number}"), tuple(responses))


PLAIN, NEGATIVE = Source.PLAIN, Source.NEGATIVE
GROUPS = [
    group(0, (PLAIN, 0.5), (PLAIN, 0.9), (NEGATIVE, 0.1)),
    group(1, (PLAIN, 0.4), (NEGATIVE, 0.8), (NEGATIVE, 0.7), (NEGATIVE, 0.1)),
    group(2, (PLAIN, 3.0)),
]


def recorded(groups):
    means = RunningMeans()
    signal_of(NEAT(), groups, 0.3).note(means)
    means.add_weighted(group_metrics(groups))
    return means


def test_two_ranks_tell_what_one_does(monkeypatch):
    whole = recorded(GROUPS).take()
    one, other = recorded(GROUPS[:1]), recorded(GROUPS[1:])
    theirs = other._found, other._moments
    monkeypatch.setattr(running_means, "gather_object", lambda own: [*own, theirs])
    found = one.take(2)
    del whole["distinct_2"], found["distinct_2"]
    assert found == pytest.approx(whole)
    assert found["spread/negative"] == pytest.approx(pstdev([0.1, 0.8, 0.7, 0.1]))
    assert found["negatives/below_plain"] == 2 / 4
    assert found["reward/plain"] == pytest.approx(fmean([0.5, 0.9, 0.4, 3.0]))


def test_a_source_that_only_one_part_has_is_told():
    means = recorded(GROUPS[:1])
    signal_of(NEAT(), GROUPS[2:], 0.3).note(means)
    assert means.take()["spread/negative"] == 0
    assert means.take() == {}
