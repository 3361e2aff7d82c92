"""The suite on scripted models: what each figure counts, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from neat_align.errors import DataError, RewardError
from neat_align.evaluation import Evaluated, EvaluationSettings, Interval, evaluate
from neat_align.evaluation.statistics import share_interval
from neat_align.prompts.steering import Steering
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.storage.atomic import read_json
from neat_align.types import Message, Query

KINDS = {"harmful": 6, "benign": 4, "borderline": 2, "group": 3}
GOOD = {"harmful": "refusal", "benign": "helpful", "borderline": "helpful", "group": "fair"}


@pytest.fixture
def queries():
    return [
        Query.from_text(f"{kind} question {i}?", kind=kind)
        for kind, count in KINDS.items()
        for i in range(count)
    ]


@pytest.fixture
def steering():
    return Steering("test", ("Be good.",), ("Be bad.", "Be worse."), (), ("Be evil.",))


def good(request):
    """Return the right answer, whatever the steering prompt says."""
    return f"{GOOD[request.query.meta['kind']]} is my answer to {request.query.text}"


def bad(request):
    """Harmful to the harmful, and to everyone under an unseen negative prompt."""
    harmful = request.query.meta["kind"] == "harmful" or request.steering == "Be evil."
    return "harmful words" if harmful else good(request)


def checker(query, text):
    return text.split()[0]


class Length:
    """Scores a response by its characters; has no opinion on refusals."""

    name = "length"

    def score(self, groups):
        return [
            [None if r.text.startswith("refusal") else float(len(r.text)) for r in group.responses]
            for group in groups
        ]


def scripted(script, nats=-1.0):
    def log_probability(groups):
        return [[nats * len(r.text.split()) for r in group.responses] for group in groups]

    return Evaluated(ScriptedSampler(script), log_probability)


def values(evaluation, name):
    return evaluation.flat()[name]


def test_rates_count_the_kinds_they_speak_of(queries, steering):
    models = {"base": scripted(bad), "neat": scripted(good)}
    found = evaluate(models, queries, steering, EvaluationSettings(), {}, checker)
    base, neat = (found.models[name].figures for name in models)
    assert base["harmful"] == share_interval(6, 6)
    assert neat["harmful"] == share_interval(0, 6)
    assert neat["helpful"] == share_interval(6, 6)
    assert neat["fair"] == share_interval(3, 3)
    assert neat["over_refusal"].n == 4
    assert neat["over_refusal_borderline"].n == 2
    assert neat["garble"].n == len(queries)
    assert neat["harmful_under_unseen_negative"] == share_interval(0, 6)
    assert "reward_train" not in neat


def test_over_refusal_counts_benign_and_borderline_apart(queries, steering):
    def refusing(request):
        return "refusal" if request.query.meta["kind"] != "borderline" else good(request)

    found = values(
        evaluate({"m": scripted(refusing)}, queries, steering, EvaluationSettings(), {}, checker),
        "m",
    )
    assert (found["over_refusal"], found["over_refusal_borderline"]) == (1.0, 0.0)
    assert found["helpful"] == pytest.approx(2 / 6)


def test_seen_and_unseen_negative_prompts_are_put_to_harmful_queries(queries, steering):
    found = evaluate(
        {"base": scripted(bad)}, queries, steering, EvaluationSettings(), {}, checker
    ).models["base"]
    under = {}
    for sample in found.samples:
        under.setdefault(sample["condition"], []).append(sample)
    assert {c: len(rows) for c, rows in under.items()} == {
        "plain": 15,
        "seen_negative": 6,
        "unseen_negative": 6,
    }
    assert {s["kind"] for s in under["seen_negative"]} == {"harmful"}
    assert [s["steering"] for s in under["seen_negative"]] == ["Be bad.", "Be worse."] * 3
    assert {s["steering"] for s in under["unseen_negative"]} == {"Be evil."}
    assert {s["steering"] for s in under["plain"]} == {""}


def test_without_held_back_prompts_there_is_no_unseen_figure(queries):
    pair = Steering("test", (), ("Be bad.",))
    found = values(
        evaluate({"m": scripted(good)}, queries, pair, EvaluationSettings(), {}, checker), "m"
    )
    assert "harmful_under_seen_negative" in found
    assert "harmful_under_unseen_negative" not in found


def test_without_a_checker_reward_stands_in_for_harm(queries, steering):
    scorers = {"train": Length(), "heldout": Length()}
    found = values(
        evaluate({"m": scripted(good)}, queries, steering, EvaluationSettings(), scorers), "m"
    )
    assert not {"harmful", "helpful", "harmful_under_seen_negative"} & set(found)
    assert {"reward_train_under_seen_negative", "reward_heldout_under_unseen_negative"} <= set(
        found
    )


def test_a_scorer_that_does_not_apply_leaves_the_response_out(queries, steering):
    found = evaluate(
        {"m": scripted(good)}, queries, steering, EvaluationSettings(), {"train": Length()}, checker
    ).models["m"]
    assert found.figures["reward_train"].n == len(queries) - KINDS["harmful"]
    assert "reward_train_under_seen_negative" not in found.figures
    assert any(s["scores"] == {"train": None} for s in found.samples)


@pytest.mark.parametrize("order", [("base", "neat"), ("neat", "base")])
def test_kl_and_differences_do_not_depend_on_the_order_of_models(queries, steering, order):
    models = {"base": scripted(bad, -1.0), "neat": scripted(good, -0.5)}
    found = evaluate(
        iter([(name, models[name]) for name in order]),
        queries,
        steering,
        EvaluationSettings(),
        {},
        checker,
    )
    words = [len(s["text"].split()) for s in found.models["neat"].samples[: len(queries)]]
    expected = 0.5 * sum(words) / len(words)  # own log-prob minus the base's
    assert found.models["neat"].figures["kl"].value == pytest.approx(expected)
    assert found.models["base"].figures["kl"] == Interval(0, 0, 0, len(queries))
    assert found.models["neat"].differences["harmful"].value == -1
    assert found.models["neat"].differences["harmful"].high < 0
    assert found.models["base"].differences == {}


def test_kl_against_a_model_that_is_not_evaluated(queries, steering):
    models = {"neat": scripted(good, -0.5)}
    found = evaluate(
        models,
        queries,
        steering,
        EvaluationSettings(),
        {},
        base_log_probability=scripted(good, -0.5).log_probability,
    )
    assert values(found, "neat")["kl"] == 0.0


def test_differences_are_paired_by_query(queries, steering):
    """Two models whose scores differ by 1 on every query: no spread is left."""
    models = {
        "base": scripted(good),
        "neat": scripted(lambda request: good(request) + "!"),
    }
    found = evaluate(models, queries, steering, EvaluationSettings(), {"train": Length()}, checker)
    gain = found.models["neat"].differences["reward_train"]
    assert (gain.value, gain.low, gain.high) == (1, 1, 1)
    figure = found.models["neat"].figures["reward_train"]
    assert figure.high - figure.low > 1


def test_more_draws_count_in_n_but_repeat_the_queries(queries, steering):
    settings = EvaluationSettings(samples_per_query=4)
    found = evaluate({"m": scripted(good)}, queries, steering, settings, {}, checker).models["m"]
    assert found.figures["harmful"].n == 24
    assert found.figures["harmful"].high == pytest.approx(share_interval(0, 6).high)
    draws = [s["draw"] for s in found.samples if s["query"] == "harmful question 0?"]
    assert draws == [0, 1, 2, 3] * 3
    assert len({s["seed"] for s in found.samples}) == len(found.samples)


def test_every_model_draws_with_the_same_seeds(queries, steering):
    models = {"base": scripted(bad), "neat": scripted(good)}
    first, second = (
        evaluate(models, queries, steering, EvaluationSettings(seed=seed), {}) for seed in (0, 1)
    )
    seeds = [[s["seed"] for s in first.models[name].samples] for name in models]
    assert seeds[0] == seeds[1]
    assert seeds[0] != [s["seed"] for s in second.models["base"].samples]


def test_perplexity_is_the_models_own(queries, steering):
    measured = Evaluated(
        ScriptedSampler(good), None, lambda texts: Interval(2.0, 1.9, 2.1, len(texts))
    )
    found = evaluate({"m": measured}, queries, steering, EvaluationSettings(), {}, texts=["a", "b"])
    assert found.models["m"].figures["ppl_pretrain"] == Interval(2.0, 1.9, 2.1, 2)
    assert "kl" not in found.models["m"].figures


def test_a_query_given_twice_is_asked_once(queries, steering):
    twice = evaluate({"m": scripted(good)}, queries * 2, steering, EvaluationSettings(), {})
    assert twice.models["m"].figures["mean_length"].n == len(queries)
    assert twice.to_json()["queries"] == len(queries)


def test_the_checker_reads_each_response_once(queries, steering):
    read = []

    def counting(query, text):
        read.append(text)
        return checker(query, text)

    found = evaluate({"m": scripted(good)}, queries, steering, EvaluationSettings(), {}, counting)
    assert len(read) == len(found.models["m"].samples)


def test_a_bad_checker_is_the_users_mistake(queries, steering):
    with pytest.raises(RewardError, match="lambda"):
        evaluate(
            {"m": scripted(good)}, queries, steering, EvaluationSettings(), {}, lambda q, t: "nice"
        )


def test_no_queries_are_refused(steering):
    with pytest.raises(DataError, match="no evaluation queries"):
        evaluate({"m": scripted(good)}, [], steering, EvaluationSettings(), {})


def test_results_on_disk(queries, steering, tmp_path):
    spoken = Query((Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "How?")))
    models = {
        "base": scripted(lambda r: "same “words” here"),
        "neat": scripted(lambda r: "one two"),
    }
    found = evaluate(models, [spoken], steering, EvaluationSettings(seed=7), {"train": Length()})
    found.save(tmp_path)
    written = read_json(tmp_path / "evaluation.json")
    assert written["seed"] == 7
    assert written["scorers"] == {"train": "length"}
    assert written["decoding"]["temperature"] == 1.0
    assert set(written["models"]["neat"]["reward_train"]) == {"value", "low", "high", "n"}
    assert written["differences"]["neat"]["reward_train"]["value"] == pytest.approx(-10)
    rows = (tmp_path / "samples" / "base.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(rows[0])
    assert (first["query"], first["text"]) == ("How?", "same “words” here")
    assert first["earlier"][1] == {"role": "assistant", "content": "Hello"}


def test_flat_results_hold_numbers_only(queries, steering):
    found = evaluate(
        {"m": scripted(good)}, queries, steering, EvaluationSettings(seed=3), {}, checker
    )
    results = found.results(seconds=1.5)
    assert set(results) == {"seed", "seconds", "models"}
    assert all(isinstance(x, float | int) for x in results["models"]["m"].values())
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_distinct_2_has_an_interval_that_is_not_biased_downwards(queries, steering):
    found = evaluate({"m": scripted(good)}, queries, steering, EvaluationSettings(), {})
    figure = found.models["m"].figures["distinct_2"]
    assert 0 < figure.low <= figure.value <= figure.high <= 1
    assert figure.low < figure.high


def test_the_suite_needs_no_torch():
    code = (
        "import sys, neat_align.evaluation; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
