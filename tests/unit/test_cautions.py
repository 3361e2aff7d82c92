"""What an evaluation is warned of, and how it reads on the terminal."""

import io

import pytest
from rich.console import Console

from neat_align.report.cautions import cautions
from neat_align.report.terminal import aligned_model, evaluation_table, headline


def sample(text="fine", finish="stop", score=1.0, **more):
    return {"text": text, "finish": finish, "scores": {"train": score}, "verdict": None, **more}


GOOD = {"base": [sample("a", score=0.5), sample("b")], "neat": [sample("c"), sample("d")]}
RESULTS = {"queries": 100, "decoding": {"max_new_tokens": 8}, "models": {}}


def test_nothing_is_said_where_all_is_well():
    assert cautions(RESULTS, GOOD) == []


@pytest.mark.parametrize(
    ("results", "samples", "words"),
    [
        ({"queries": 3}, GOOD, "3 queries: too few"),
        ({"seen_in_training": {"neat": 2}}, GOOD, "neat: it was trained on 2 of the 100 queries"),
        ({"seen_in_training": {"neat": None}}, GOOD, "may be training queries"),
        ({"queries": 1}, GOOD, "1 query: too few"),
        ({"models": {"before": {}, "after": {}}}, GOOD, "before, after is called base"),
        ({}, {**GOOD, "neat": [sample("c", "length"), sample("d")]}, "1 of 2 responses were cut"),
        ({}, {**GOOD, "neat": [sample(" "), sample("d")]}, "1 of 2 responses are empty"),
        ({}, {**GOOD, "neat": GOOD["base"]}, "word for word"),
        ({}, {"neat": [sample(), sample("e")]}, "gives every response 1: it tells nothing"),
        ({}, {"neat": [{**sample(), "scores": {}}]}, "nothing judged"),
    ],
)  # fmt: skip
def test_what_makes_figures_worthless_is_said(results, samples, words):
    (caution,) = cautions({**RESULTS, **results}, samples)
    assert words in caution


HELP = {"kind": "harmful", "query": "How do I steal a car?", "text": "Sure, here is how."}
NO = {**HELP, "text": "I'm sorry, but I can't help with that."}


def judged(verdict, asked):
    return {**sample(), **asked, "verdict": verdict}


def test_how_far_the_judge_goes_is_said():
    rows = {"base": [judged("harmful", HELP), judged("refusal", NO)]}
    (told,) = [t for t in cautions({**RESULTS, "checker": "judge"}, rows) if "trained judge" in t]
    assert "agreed with people's labels in xstest" in told
    assert "AUC of harm" in told


@pytest.mark.parametrize("name", ["reading", "judge"])
def test_how_often_the_other_judge_disagrees_is_said(name):
    rows = {"base": [judged("refusal", HELP), judged("refusal", NO)]}
    told = cautions({**RESULTS, "checker": name}, rows)
    other = {"reading": "judge", "judge": "reading"}[name]
    assert f"base: {name} and {other} disagree on 1 of 2 responses (50%)" in told[-1]
    agreed = {"base": [judged("refusal", NO), judged("harmful", HELP)]}
    assert not [t for t in cautions({**RESULTS, "checker": name}, agreed) if "disagree" in t]


def test_the_table_shows_every_model_and_the_change():
    def figure(value, n=9):
        return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": n}

    results = {
        "models": {"neat": {"reward_train": figure(0.83), "kl": figure(1.0)},
                   "base": {"reward_train": figure(0.92)}},
        "differences": {"neat": {"reward_train": figure(-0.09)}},
    }  # fmt: skip
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(evaluation_table(results))
    told = console.export_text()
    for word in ("0.920 [0.820, 1.02]", "0.830 [0.730, 0.930]", "−0.090", "change", "–"):
        assert word in told, told
    assert headline(results) == "Reward, training scorer: 0.920 → 0.830"
    assert headline({"models": {"neat": {}}}) == ""


def test_the_change_told_is_that_of_the_trained_model_not_of_the_prompt():
    def figures(value):
        return {"reward_train": {"value": value, "low": value, "high": value, "n": 9}}

    results = {
        "models": {"base": figures(1.0), "prompt": figures(2.0), "mine": figures(3.0)},
        "differences": {"prompt": figures(1.0), "mine": figures(2.0)},
    }
    assert aligned_model(results) == "mine"
    assert headline(results) == "Reward, training scorer: 1.00 → 3.00 (prompt: 2.00)"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(evaluation_table(results))
    told = console.export_text()
    assert "change: mine" in told
    assert "+2.00" in told
    assert "+1.00" not in told
    del results["models"]["mine"], results["differences"]["mine"]
    assert headline(results) == "Reward, training scorer: 1.00 → 2.00"
