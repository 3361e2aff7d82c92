"""A pair that does not steer is found before the first step; one that does is let through."""

import json
import random

import pytest

from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import GroupMaker
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.sampling.trial import draw_trial, tried_phrasings, tried_queries
from neat_align.sampling.trial_result import NOT_JUDGED, STEERS, STOPS, SteeringTrial
from neat_align.sampling.trial_text import summary, told
from neat_align.sampling.verdict import judged
from neat_align.scoring import Polarity, RewardFunction, ScorerSet
from neat_align.types import Query, Source

PAIR = Steering("test", ("Be kind.", "Be good."), ("Be mean.", "Be bad."))
QUERIES = [Query.from_text(f"query {i}") for i in range(8)]


def number(completions, **kwargs):
    return [float(c.split()[0]) for c in completions]


def trial(level, pair=PAIR, scorers=(number,), noise=0.0, seed=0, queries=QUERIES, **used):
    """Make a trial whose answers begin with their score: their source's level, and noise."""

    def answer(request):
        own = level[str(request.source)]
        value = own(request) if callable(own) else own
        return f"{value + noise * random.Random(request.seed).gauss(0, 1)} {request.phrasing}"

    maker = GroupMaker(ScriptedSampler(answer), pair, GroupPlan(1, 1, 1), Decoding())
    prompts = tried_phrasings(pair, GroupPlan(2, **{"positive": 1, "negative": 1, **used}))
    scorer_set = ScorerSet([s if hasattr(s, "name") else RewardFunction(s) for s in scorers])
    groups = scorer_set.score(draw_trial(maker, queries, prompts, seed))
    return judged(groups, pair.name, scorer_set.judging)


def levels(plain, positive, negative):
    return {"plain": plain, "positive": positive, "negative": negative}


def test_a_pair_that_steers():
    found = trial(levels(1, 2, 0), noise=0.3)
    assert (found.verdict, found.problems, found.warnings) == (STEERS, (), ())
    assert found.means["negative"] < found.means["plain"] < found.means["positive"]
    assert len(found.answers) == 8 * (2 + 2 + 2)


@pytest.mark.parametrize(
    ("level", "side"),
    [
        (levels(0, 2, 1), "negative"),  # "Never be rude.": better than plain
        (levels(0, 0, 1), "negative"),
        (levels(1, 0, 0), "positive"),
        (levels(1, 0, 2), "positive"),  # both turned round
        (levels(1, 1, 1), "negative"),  # a reward that is constant
    ],
)
def test_a_side_that_steers_the_wrong_way_or_not_at_all_stops(level, side):
    found = trial(level)
    assert found.verdict == STOPS
    assert any(f"the {side} side" in problem for problem in found.problems)
    text = told(found)
    for shown in (QUERIES[0].text, "plain [", "positive [", "negative [", "'Be mean.'"):
        assert shown in text


def test_a_pair_that_changes_nothing_but_noise_stops_nearly_always():
    stopped = [trial(levels(0, 0, 0), noise=1.0, seed=s).verdict == STOPS for s in range(60)]
    assert sum(stopped) >= 52


def test_a_pair_that_steers_is_let_through_nearly_always():
    passed = [trial(levels(0, 1, -1), noise=1.0, seed=s).verdict == STEERS for s in range(60)]
    assert sum(passed) >= 58


def test_one_query_of_eight_that_is_moved_is_not_enough_and_two_are_with_a_clear_other_side():
    def some(count):
        moved = {q.id for q in QUERIES[:count]}
        return lambda request: -1.0 if request.query.id in moved else 0.0

    bare = Steering("bare", (), ("Be mean.",))
    assert trial(levels(0, 0, some(1)), bare).verdict == STOPS
    assert trial(levels(0, 0, some(3)), bare).verdict == STEERS
    found = trial(levels(0, 1, some(1)))
    assert found.verdict == STEERS
    assert "without being asked, or" in found.warnings[0]


def test_a_model_that_misbehaves_unasked_warns_and_goes_on():
    """The negative side is as bad as the plain answers, and no better beyond chance."""
    found = trial(levels(-3, 0, -2.95), noise=0.3)
    assert found.verdict == STEERS
    assert "without being asked, or" in found.warnings[0]
    well = trial(levels(0, -0.02, -3), noise=0.3)
    assert well.verdict == STEERS
    assert "without being asked, or" in "".join(well.warnings)


def test_a_negative_prompt_without_any_effect_on_the_texts_stops():
    def answer(request):
        return "1 good" if request.source == Source.POSITIVE else "0 as ever"

    maker = GroupMaker(ScriptedSampler(answer), PAIR, GroupPlan(1, 1, 1), Decoding())
    scorers = ScorerSet([RewardFunction(number)])
    groups = scorers.score(draw_trial(maker, QUERIES, tried_phrasings(PAIR, GroupPlan(1, 1, 1)), 0))
    assert judged(groups, "x", scorers.judging).verdict == STOPS


def test_plain_answers_at_the_ceiling_warn_and_go_on():
    found = trial(levels(1, 1, 0))
    assert found.verdict == STEERS
    assert "it cannot be higher" in found.warnings[0]
    alone = trial(levels(1, 1, 0), negative=0)
    assert (alone.verdict, list(alone.effects)) == (STEERS, ["positive"])


def test_sides_that_are_not_used_or_not_there_are_not_tried():
    bare = Steering("bare", (), ("Be mean.",))
    assert set(trial(levels(1, 9, 0), bare).effects) == {"negative"}
    unused = GroupPlan(2, positive=1, negative=0)
    assert not tried_phrasings(bare, unused)
    for own in (tried_phrasings(PAIR, GroupPlan(2, 0, 1)), tried_phrasings(bare, unused, True)):
        assert {source for source, _ in own} == {Source.NEGATIVE}
    assert [p.system for _, p in tried_phrasings(PAIR, GroupPlan(2, 0, 1))] == list(PAIR.negative)


def test_polarity_cannot_judge_and_the_answers_are_shown():
    found = trial(levels(1, 0, 2), scorers=(Polarity(),))
    assert (found.verdict, found.problems) == (NOT_JUDGED, ())
    assert "no reward judges the answers" in found.warnings[0]
    assert "query:" in told(found)
    assert "not judged" in summary(found)


def test_beside_polarity_the_other_reward_judges():
    assert trial(levels(1, 0, 2), scorers=(number, Polarity())).verdict == STOPS
    assert trial(levels(1, 2, 0), scorers=(number, Polarity())).verdict == STEERS


def test_answers_that_a_scorer_leaves_out_are_left_out():
    def some(completions, **kwargs):
        return [None if "bad" in c else float(c.split()[0]) for c in completions]

    found = trial(levels(1, 2, 0), scorers=(some, Polarity()))
    assert found.verdict == STEERS
    unscored = next(p for p in found.prompts if p.prompt == "Be bad.")
    assert (unscored.score, unscored.change) == (None, None)


def test_flip_rates_count_plain_answers_on_the_wrong_side_of_the_border():
    bad = {q.id for q in QUERIES[:6]}
    level = levels(lambda r: 0.0 if r.query.id in bad else 1.0, 1.0, 0.0)
    found = trial(level)
    assert 0 < found.border < 1
    positive, *_, negative = found.prompts
    assert (positive.flipped, positive.flippable) == (12, 12)  # two plain answers each
    assert (negative.flipped, negative.flippable) == (4, 4)
    assert "turns 100% of 12 bad plain answers good" in told(found)


def test_good_answers_and_split_groups_are_counted():
    bad = {q.id for q in QUERIES[:6]}
    found = trial(levels(lambda r: 0.0 if r.query.id in bad else 1.0, 1.0, 0.0))
    positive, *_, negative = found.prompts
    counts = [(p.good, p.answers, p.split, p.groups) for p in (found.plain, positive, negative)]
    assert counts == [(4, 16, 0, 8), (8, 8, 6, 8), (0, 8, 2, 8)]
    assert "plain without steering: 0.25, 4 of 16 good, 0 of 8 groups split" in told(found)


@pytest.mark.parametrize("scorers", [(number,), (Polarity(),)])
def test_a_trial_is_kept_as_it_was(scorers):
    found = trial(levels(1, 2, 0), MIXED, scorers=scorers)
    assert SteeringTrial.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_one_query_is_judged_by_its_difference():
    assert trial(levels(1, 2, 0), queries=QUERIES[:1]).verdict == STEERS
    assert trial(levels(1, 2, 3), queries=QUERIES[:1]).verdict == STOPS


def test_the_queries_depend_on_the_seed_alone():
    many = [Query.from_text(f"q{i}") for i in range(100)]
    assert tried_queries(many, 8, 1) == tried_queries(many, 8, 1) != tried_queries(many, 8, 2)
    assert len(tried_queries(many[:3], 8, 0)) == 3


def test_answers_that_all_score_the_same_are_no_bad_ones():
    """Nothing is called bad, and the reason is said."""
    found = trial(levels(1, 1, 1))
    assert found.verdict == STOPS
    assert "every answer scores the same" in "; ".join(found.problems)
    assert (found.border, {one.flippable for one in found.prompts}) == (None, {0})
    assert "turns" not in told(found)


TURN = {"user": "Hello.", "assistant": "Go away."}
MIXED = Steering(
    "mixed",
    ("Be kind.",),
    ["Be mean.", {"prefix": "No,"}, {"prefix": "Never,"}, {"turns": [TURN]}],
)


def test_every_channel_is_tried_and_told():
    def negative(request):
        return {"system": 1, "prefix": -1, "turns": 0}[request.phrasing.channel]

    found = trial(levels(1, 2, negative), MIXED)
    assert found.verdict == STEERS
    assert found.means["negative"] == pytest.approx((1 - 1 - 1 + 0) / 4)  # all its phrasings
    told_of = {(one.source, one.channel): one for one in found.channels}
    assert {place: one.score for place, one in told_of.items()} == {
        ("positive", "system"): 2,
        ("negative", "system"): 1,
        ("negative", "prefix"): -1,
        ("negative", "turns"): 0,
    }
    prefix = told_of["negative", "prefix"]
    assert (prefix.flipped, prefix.flippable) == (64, 64)  # 8 queries, 2 phrasings, 4 plain
    assert told_of["negative", "system"].flipped == 0
    assert [one.prompt for one in found.prompts][2] == "[answer begins: No,]"
    text = told(found)
    assert (
        "through prefix: -1 (-2), 0 of 16 good, 8 of 8 groups split, turns 100% of 64 good" in text
    )
    assert found.to_json()["channels"][0]["channel"] == "system"
    alone = told(trial(levels(1, 2, 0)))
    assert "through" not in alone


def test_only_the_channels_that_training_uses_are_tried_and_prompts_where_they_stand_in_context():
    plan = GroupPlan(1, 1, 1, (), ("prefix",))
    channels = [one.channel for _, one in tried_phrasings(MIXED, plan)]
    assert channels == ["system", "prefix", "prefix"]
    assert tried_phrasings(MIXED, plan, True)[-1][1].system == "Be mean."
