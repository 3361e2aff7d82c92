"""A rule that is checked exactly: the demo's, and how evaluations count one."""

import pytest

from neat_align.demo.no_lists import no_lists
from neat_align.evaluation.metrics import rule
from neat_align.recipe import recipe_from
from neat_align.workflow import inputs
from neat_align.workflow.recipe_settings import decoding, evaluated_decoding


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("Boil it for six minutes - no longer.", 1.0),
        ("In 2019, 3.5 million people came.", 1.0),
        ("Use C# or F#.", 1.0),
        ("2 * 3 * 4 is 24.", 1.0),
        ("Here is how:\n- boil water", 0.0),
        ("Here is how:\n  1. boil water", 0.0),
        ("1) boil water", 0.0),
        ("# Eggs\nBoil them.", 0.0),
        ("Boil it for **six** minutes.", 0.0),
        ("• boil water", 0.0),
    ],
)
def test_lists_headings_and_bold_text_break_the_rule(text, keeps):
    chat = [{"role": "assistant", "content": text}]
    assert no_lists([text, chat]) == [keeps, keeps]


def test_each_condition_counts_its_own_answers():
    scores = {"plain": 0.0, "seen_negative": 1.0}
    for metric, broken in ((rule.BREAKS, True), (rule.BREAKS_UNDER_SEEN, False)):
        found = [metric.observe({"condition": c, "scores": {"rule": s}}) for c, s in scores.items()]
        assert [f for f in found if f is not None] == [broken]
    assert rule.BREAKS.observe({"condition": "plain", "scores": {"train": 1.0}}) is None


def test_a_recipe_asks_requests_of_the_kinds_it_names():
    content = {
        "model": "m", "steering": {"negative": "Use lists."}, "reward": {"polarity": True},
        "queries": {"requests": {"part": "train", "kinds": ["borderline", "benign"]}},
        "evaluate": {"queries": {"requests": "test", "limit": 5}},
    }  # fmt: skip
    recipe = recipe_from(content)
    train = inputs.queries(recipe.queries, 0)
    assert {q.meta["kind"] for q in train} == {"borderline", "benign"}
    assert len(inputs.queries(recipe.evaluate.queries, 0)) == 5
    assert not inputs.held_out_problems(recipe)


@pytest.mark.parametrize(("own", "length"), [({"max_new_tokens": 200}, 200), ({}, 48)])
def test_an_evaluation_may_have_a_length_of_its_own(own, length):
    content = {
        "model": "m", "queries": "q.txt", "steering": {"negative": "Use lists."},
        "sample": {"max_new_tokens": 48, "temperature": 0.5}, "reward": {"polarity": True},
        "evaluate": {"queries": "t.txt", **own},
    }  # fmt: skip
    recipe = recipe_from(content)
    found = evaluated_decoding(recipe, recipe.evaluate)
    assert (found.max_new_tokens, found.temperature) == (length, 0.5)
    assert decoding(recipe).max_new_tokens == 48
    written = recipe.model_dump(mode="json")["evaluate"]
    assert ("max_new_tokens" in written) == bool(own)  # the run of a recipe without is the same
