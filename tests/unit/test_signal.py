"""Whether scores tell an objective anything, whatever their scale."""

import json
from dataclasses import replace
from statistics import pstdev

import pytest
import torch

from neat_align.errors import DataError, NoSignalError
from neat_align.objectives import D2O, DPO, KTO, NEAT, NEATPP, NPO, OBJECTIVES, PRO, SFT, SPPO
from neat_align.objectives.contract import example_batch
from neat_align.objectives.neat import GAP_SCALE, MIN_GAP
from neat_align.recipe import load_recipe
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.study.methods import with_method
from neat_align.training.objective_choice import make_objective, objective_problems
from neat_align.training.run_signal import CALIBRATION, PATIENCE, ScoreSignal
from neat_align.training.signal import (
    below_plain,
    group_spread,
    run_spread,
    stored_problems,
    stored_signal,
    usable_groups,
)
from neat_align.types import Group, Query, Response, Source

SOURCES = (Source.POSITIVE, Source.POSITIVE, Source.NEGATIVE, Source.PLAIN)


def group(*scores, number=0, sources=SOURCES):
    responses = [
        Response(f"answer {i}", source, score=float(score))
        for i, (score, source) in enumerate(zip(scores, sources))
    ]
    return Group(Query.from_text(f"question {number}"), tuple(responses))


GRADED = [group(0.2 + 0.1 * i, 0.4, 0.1, 0.5, number=i) for i in range(6)]
BINARY = [group(1, 1, i % 2, 1, number=i) for i in range(6)]
CONSTANT = [group(0.7, 0.7, 0.7, 0.7, number=i) for i in range(6)]


def scaled(groups, factor, shift=0.0):
    return [group(*(factor * s + shift for s in g.scores)) for g in groups]


def rank_loss(scores, spread):
    batch = example_batch(0, groups=len(scores))
    score = torch.tensor(scores, dtype=torch.float64)
    given = None if spread is None else torch.tensor(spread, dtype=torch.float64)
    return NEAT()(replace(batch, score=score, spread=given)).terms["rank"]


@pytest.mark.parametrize("factor", [1e-4, 0.2, 1.0, 1e4])
@pytest.mark.parametrize("groups", [GRADED, BINARY], ids=["graded", "binary"])
def test_the_ranking_is_the_same_on_every_scale(groups, factor):
    def loss(given):
        scores = [g.scores for g in given]
        return rank_loss(scores, run_spread(map(group_spread, scores)))

    expected = loss(groups)
    assert (expected > 0).any()
    torch.testing.assert_close(loss(scaled(groups, factor)), expected, rtol=1e-9, atol=1e-12)
    shifted = loss(scaled(groups, factor, shift=3 * factor))
    torch.testing.assert_close(shifted, expected, rtol=1e-6, atol=1e-9)


def test_small_steps_are_ranked_by_default_and_dropped_by_the_explicit_gap():
    scores = [[0.9, 0.5, 0.6, 0.7]]
    batch = example_batch(0, groups=1)
    batch = replace(batch, score=torch.tensor(scores, dtype=torch.float64), spread=None)
    assert NEAT()(batch).terms["rank"] > 0
    assert NEAT(min_gap=0.5, gap_scale=2.0)(batch).terms["rank"] == 0


def test_an_outlier_silences_no_other_group():
    scores = [g.scores for g in GRADED] + [[0.1, 0.2, 1e6, 0.3]]
    spread = run_spread(map(group_spread, scores))
    assert spread < 1
    assert (rank_loss(scores, spread) > 0).all()


def test_near_ties_of_most_groups_are_not_blown_up():
    noise = [[0.5, 0.5001, 0.5002, 0.5] for _ in range(6)]
    scores = noise + [[0.0, 0.0, 1.0, 0.0] for _ in range(4)]
    losses = rank_loss(scores, run_spread(map(group_spread, scores)))
    assert (losses[:6] == 0).all()
    assert (losses[6:] > 0).all()


def test_rounding_is_no_spread():
    assert group_spread([1e4, 1e4 + 1e-6, 1e4]) == 0
    assert group_spread([0.7, 0.7]) == group_spread([3.0]) == group_spread([0.0, 0.0]) == 0
    assert run_spread([]) == run_spread([0.0, 0.0]) == 0
    assert (rank_loss([[0.7] * 4], 0.0) == 0).all()
    assert (rank_loss([[0.7] * 4], None) == 0).all()


def test_the_default_means_at_the_studys_reward_what_the_study_chose():
    """Of 600 groups of its base, scored as in the study, the upper quartile was 2.535."""
    assert pytest.approx(0.5, abs=0.03) == MIN_GAP * 2.535
    assert pytest.approx(2.0, abs=0.05) == GAP_SCALE * 2.535


RANKS = [name for name in OBJECTIVES if name not in ("d2o",)]


@pytest.mark.parametrize("name", RANKS)
def test_equal_scores_are_usable_to_no_objective_that_reads_them(name):
    objective = OBJECTIVES[name]()
    (problem,) = stored_problems(objective, CONSTANT)
    assert "imitate an arbitrary one" in str(problem)
    positives = tuple(Source.POSITIVE if s == Source.NEGATIVE else s for s in SOURCES)
    graded = GRADED if name != "neat_pp" else [group(*g.scores, sources=positives) for g in GRADED]
    assert stored_problems(objective, graded) == []


@pytest.mark.parametrize(
    ("objective", "groups", "expected"),
    [
        (NEAT(), [group(0, 1, 0, 0)], True),
        (NEAT(min_gap=1.0), [group(0, 1, 0, 0)], False),
        (NEAT(min_gap=0.0), [group(0, 1e-9, 0, 0)], True),
        (NEAT(rank_weight=0.0, lm_gate="off"), [group(0, 1, 0, 0)], True),
        (NEAT.paper(), [group(0.2, 0.2, 0.3, 0.2)], True),
        (NEAT.paper(), [group(0.2, 0.2, 0.2, 0.2)], False),
        (NEATPP(), [group(1, 1, 0, 1)], False),  # only the negative one differs
        (D2O(), [group(1, 1, 1, 1)], True),
        (D2O(), [group(1, 0, sources=SOURCES[:2])], False),
        (NPO(), [group(1, 1, 1, 1)], False),
        (NPO(lm_weight=0.0), [group(1, 1, 1, 1)], True),
        (SFT(), [group(0.3)], True),  # one answer is no choice
        (SFT(), [group(0.3, 0.3)], False),
        (DPO(), [group(0.3, 0.3, 0.31, 0.3)], True),
        (KTO(), [group(0.3, 0.3, 0.3, 0.3)], False),
    ],
    ids=str,
)
def test_what_is_usable_to_whom(objective, groups, expected):
    spread = run_spread(group_spread(g.scores) for g in groups)
    assert usable_groups(objective, groups, spread) == [expected]


def test_answers_that_read_alike_tell_nothing_whatever_they_score():
    given = group(1.0, 0.5, -1.0, 0.0)
    same = replace(given, responses=tuple(replace(r, text="same") for r in given.responses))
    assert usable_groups(NEAT(), [given, same], 1.0) == [True, False]
    with pytest.raises(DataError, match="read alike"):
        raise stored_problems(NEAT(), [same])[0]


def test_figures_of_stored_groups():
    found = stored_signal(NEAT(), lambda: BINARY + CONSTANT)
    assert found.shares == {
        "signal/spread": pytest.approx(3**0.5 / 4),
        "signal/usable": 3 / 12,
        "negatives/below_plain": 3 / 12,
        "spread/negative": pytest.approx(pstdev([0, 1] * 3 + [0.7] * 6)),
        "spread/plain": pytest.approx(0.15),
        "spread/positive": pytest.approx(0.15),
    }
    assert below_plain([group(1, 1, 0, sources=SOURCES[:3])]) == []  # nothing plain beside it


def test_a_run_without_a_usable_group_is_refused_once_there_were_enough():
    signal = ScoreSignal(DPO())
    for _ in range(PATIENCE // 6):
        signal.add(CONSTANT)
    with pytest.raises(NoSignalError, match="none has what dpo learns from"):
        signal.add(CONSTANT)
    few = ScoreSignal(DPO())
    few.add(CONSTANT)
    with pytest.raises(NoSignalError, match="6 groups of this run"):
        few.judge()
    large = [group(1, 1, 1, 1, number=i) for i in range(PATIENCE)]
    with pytest.raises(NoSignalError):  # at once
        ScoreSignal(NEAT()).add(large)


def test_a_run_that_has_learnt_all_ends_instead():
    signal = ScoreSignal(DPO())
    signal.add(GRADED * 4)
    for _ in range(PATIENCE // 6):
        signal.add(CONSTANT)
        assert not signal.ended
    signal.add(CONSTANT)
    assert "no difference" in signal.ended


def test_few_usable_groups_and_odd_negatives_are_told_once():
    signal = ScoreSignal(NEAT())
    signal.add(BINARY[:2] + CONSTANT)
    with (
        pytest.warns(UserWarning, match="only 1 of 72 groups"),
        pytest.warns(UserWarning, match="negative prompts do not bring out"),
    ):
        signal.add([group(0.7, 0.7, 0.7, 0.7, number=i) for i in range(PATIENCE)])
    signal.add(CONSTANT)  # warnings are errors here


@pytest.mark.parametrize("objective", [PRO(), SPPO()], ids=lambda o: o.name)
def test_objectives_in_reward_units_tell_when_the_scale_makes_them_useless(objective):
    tiny, large = scaled(GRADED, 1e-4), scaled(GRADED, 10)
    (doubt,) = stored_signal(objective, lambda: tiny).doubts(objective)
    assert "scale the reward with its weight" in doubt
    assert stored_signal(objective, lambda: large).doubts(objective) == []


def test_the_state_goes_through_json_and_the_spread_settles():
    signal = ScoreSignal(NEAT())
    for i in range(CALIBRATION // 6 + 1):
        signal.add(scaled(GRADED, 1 + i / 100))
    settled = signal.spread
    signal.add(scaled(GRADED, 1e3))
    assert signal.spread == settled
    other = ScoreSignal(NEAT())
    other.restore(json.loads(json.dumps(signal.state())))
    assert other.state() == signal.state()
    assert other.spread == settled


def test_the_spread_does_not_depend_on_how_groups_came_together():
    whole, parts = ScoreSignal(NEAT()), ScoreSignal(NEAT())
    whole.add(GRADED + BINARY)
    parts.add(BINARY)
    parts.add(GRADED)
    assert whole.spread == parts.spread
    assert whole.spreads == parts.spreads


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "neat", "min_gap": None, "gap_scale": "2e0"}, None),
        ({"name": "neat", "min_gap": "1e-1"}, None),
        ({"name": "neat", "min_gap": -0.1}, "use 0 or more"),
        ({"name": "neat", "gap_scale": 0}, "above 0"),
        ({"name": "neat", "min_gap": "wide"}, "not a number"),
        ({"name": "neat_pp", "lm_weight": ".nan"}, "not a number"),
        ({"name": "neat", "rank_weight": float("nan")}, "finite"),
        ({"name": "neat", "rank_weight": None}, "not a number"),
        ({"name": "npo", "beta": 0}, "above 0"),
        ({"name": "cdpo", "label_smoothing": 0.5}, "below 0.5"),
    ],
    ids=str,
)
def test_parameters_that_no_loss_comes_of_are_refused(section, message):
    problems = objective_problems(section)
    assert [message in str(problem) for problem in problems] == ([True] if message else [])
    if message is None:
        assert all(
            isinstance(getattr(make_objective(section), k), float | None)
            for k in section
            if k != "name"
        )


@pytest.mark.parametrize("method", ["neat", "neat_pp", "dpo", "neat_paper"])
def test_gaps_in_reward_units_stay_the_recipes_own(method):
    """The study's absolute gaps hold for its reward; laid over another recipe, none are set."""
    overlaid = with_method(load_recipe("world"), method).objective
    own = {"neat": (0.5, 2.0), "neat_pp": (0.5, 2.0), "neat_paper": (0.0, 2.0), "dpo": (None,) * 2}
    assert (overlaid.get("min_gap"), overlaid.get("gap_scale")) == own[method]
    other = with_method(load_recipe("world", ["objective={name: dpo}"]), "neat").objective
    assert "min_gap" not in other


def test_a_query_that_is_asked_twice_at_once_gets_answers_of_its_own(steering, queries):
    twice = [queries[0], queries[1], queries[0]]
    sampler = ScriptedSampler(lambda request: str(request.seed))
    first, other, second = sample_groups(sampler, twice, steering, GroupPlan(), Decoding(), seed=3)
    alone = sample_groups(sampler, queries[:2], steering, GroupPlan(), Decoding(), seed=3)
    assert [first, other] == alone
    assert not {r.text for r in first.responses} & {r.text for r in second.responses}


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused_wherever_groups_come_from(score):
    with pytest.raises(DataError, match="nothing can be ranked by it"):
        group(1.0, score)
