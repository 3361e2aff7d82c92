"""Several rewards as one score, and groups whose order they dispute: numbers worked out by hand."""

import pytest
from tests.trainers import rows, trainer_of

from neat_align.errors import InputError
from neat_align.evaluation.assembly import Place, outside_scorers
from neat_align.objectives import NEAT
from neat_align.recipe import recipe_from
from neat_align.scoring import Combination, RewardFunction, ScorerSet
from neat_align.scoring.combination import disputed_share
from neat_align.types import Group, Query, Response, Source
from neat_align.workflow.recipe_settings import refused_settings, training_arguments

SCALE = {"centres": (1.0, 10.0), "spreads": (2.0, 5.0)}
RECIPE = {
    "model": "m",
    "queries": "q.jsonl",
    "steering": "harmless",
    "reward": {"functions": ["r.py:f", "r.py:g"]},
    "train": {"max_steps": 1},
}


@pytest.mark.parametrize(
    ("way", "weights", "wanted"),
    [
        # z = (5 − 1)/2 = 2 and (5 − 10)/5 = −1
        ("sum", (1, 1), 1.0),
        ("sum", (2, -1), 5.0),
        ("mean", (1, 1), 0.5),
        ("mean", (3, 1), 1.25),
        ("minimum", (1, 1), -1.0),
        ("minimum", (1, 0), 2.0),
        # mean 0.5, standard deviation 1.5
        ("lower_bound", (1, 1), -1.0),
        # mean 1.25, variance (3·0.75² + 2.25²)/4 = 1.6875
        ("lower_bound", (3, 1), 1.25 - 1.6875**0.5),
    ],
)
def test_the_ways_by_hand(way, weights, wanted):
    assert Combination(way, 1.0, **SCALE)((5.0, 5.0), weights) == pytest.approx(wanted)


def test_deviations_scale_the_caution_and_none_of_them_is_the_mean():
    cautious = Combination("lower_bound", 2.0, **SCALE)
    assert cautious((5.0, 5.0), (1, 1)) == pytest.approx(0.5 - 2 * 1.5)
    assert Combination("lower_bound", 0.0, **SCALE)((5.0, 5.0), (1, 1)) == pytest.approx(0.5)


def test_what_does_not_apply_is_left_out():
    assert Combination("lower_bound", 1.0, **SCALE)((5.0, None), (1, 1)) == 2.0
    assert Combination("minimum", 1.0, **SCALE)((None, 5.0), (1, 1)) == -1.0
    assert Combination("mean", 1.0, **SCALE)((None, None), (1, 1)) is None
    assert Combination()((None, 3.0), (2, 2)) == 6.0


def test_a_part_of_the_rewards_keeps_its_scale():
    assert Combination("minimum", 1.0, **SCALE).of([1])((20.0,), (1,)) == 2.0
    assert Combination("mean").of([0])((3.0,), (1,)) == 3.0


def test_disputed_pairs_by_hand():
    # of the pairs 01, 02, 12 the first orders >, >, >; the second >, <, <
    rows = [(3.0, 2.0, 1.0), (2.0, 1.0, 5.0)]
    assert disputed_share(rows, (1, 1)) == pytest.approx(2 / 3)
    assert disputed_share(rows, (1, -1)) == pytest.approx(1 / 3)
    assert disputed_share(rows, (1, 0)) == 0.0
    assert disputed_share([(3.0, 3.0), (1.0, 2.0)], (1, 1)) == 0.0  # a tie disputes nothing
    assert disputed_share([(1.0, None), (1.0, 2.0)], (1, 1)) == 0.0


def length(completions, **kwargs):
    return [float(len(c)) for c in completions]


def shortness(completions, **kwargs):
    return [4.0 - len(c) for c in completions]


def test_a_set_of_scorers_combines_and_its_judgement_does_alike():
    texts = Response("a", Source.PLAIN), Response("bbb", Source.POSITIVE)
    group = Group(Query.from_text("q"), texts)
    scorers = [RewardFunction(length), RewardFunction(shortness)]
    minimum = Combination("minimum", spreads=(1.0, 1.0))
    made = ScorerSet(scorers, None, minimum)
    (scored,) = made.score([group])
    assert scored.scores == [1.0, 1.0]
    assert [made.judging(r) for r in scored.responses] == [1.0, 1.0]
    assert made.dispute(scored) == 1.0
    assert scored.responses[1].scores == {"length": 3.0, "shortness": 1.0}


def test_the_evaluation_shows_the_reward_as_it_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.py").write_text(
        "def f(completions, **kw): return [float(len(c)) for c in completions]\n"
        "def g(completions, **kw): return [4.0 - len(c) for c in completions]\n"
    )
    minimum = Combination("minimum", spreads=(1.0, 1.0, 1.0))
    names = ["self_judge", "r.py:f", "r.py:g"]
    scorer = outside_scorers(names, None, minimum, {}, Place())["train"]
    group = Group(Query.from_text("q"), (Response("abc", Source.PLAIN),))
    assert scorer.score([group]) == [[1.0]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"combine": "minimum"}, "without spreads"),
        ({"combine": "lower_bound", "spreads": [1, 1, 1]}, "3 spreads for 2 rewards"),
        ({"combine": "minimum", "spreads": [1, 0]}, "give numbers above 0"),
        ({"combine": "minimum", "spreads": [1, 1], "weights": [2, 1]}, "leave weights out"),
        ({"combine": "mean", "weights": [1, -1]}, "negative weight"),
        ({"combine": "mean", "weights": [1, 0]}, "one reward alone"),
        ({"combine": "mean", "plausibility": 1.0}, "name plausibility among the functions"),
        ({"centres": [1, 1]}, "without spreads"),
        ({"combine": "median"}, "combine"),
        ({"max_dispute": 0.5, "weights": [1, 0]}, "one reward disputes nothing"),
        ({"max_dispute": 1.5}, "max_dispute"),
    ],
)
def test_what_cannot_be_combined_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        recipe_from({**RECIPE, "reward": {**RECIPE["reward"], **given}})


def test_a_recipe_hands_its_combination_to_the_training(tmp_path):
    own = {"combine": "lower_bound", "deviations": 0.5, "spreads": [2, 3], "max_dispute": 0.25}
    recipe = recipe_from({**RECIPE, "reward": {**RECIPE["reward"], **own}})
    args = training_arguments(recipe, tmp_path)
    assert args.combination == Combination("lower_bound", 0.5, (), (2.0, 3.0))
    assert args.max_dispute == 0.25
    assert recipe.reward.combination == args.combination
    useless = recipe_from({**RECIPE, "reward": {**RECIPE["reward"], "deviations": 2}})
    assert "nothing would read it" in str(refused_settings(useless)[0])
    written = recipe_from(RECIPE).reward.model_dump()
    assert not {"combine", "spreads", "max_dispute"} & set(written), "older runs are other runs"


def test_disputed_groups_are_left_out_of_training(tmp_path, tokenizer, steering, queries):
    def against(prompts, completions, **kwargs):
        """Dispute the length of every answer to the first query alone."""
        odd = [p == queries[0].text for p in prompts]
        return [-len(c) if bad else len(c) for c, bad in zip(completions, odd, strict=True)]

    given = {"per_device_train_batch_size": len(queries), "max_steps": 1, "max_dispute": 0.0}
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, NEAT(), reward_funcs=[length, against], **given
    )
    trainer.train()
    (row,) = [row for row in rows(tmp_path) if "groups/disputed" in row]
    assert row["groups/disputed"] == row["groups/left_out"] == pytest.approx(1 / len(queries))
    with pytest.raises(InputError, match="one reward disputes nothing"):
        trainer_of(tmp_path / "one", tokenizer, steering, queries, NEAT(), **given)
