"""Training goes on without what a server does not answer, a judge not grade, an engine not draw."""

# ruff: noqa: F811 (the fixture `stub` is imported)

import json
import math

import pytest
import torch
from tests.trainers import rows, trainer_of, weights
from tests.unit.test_engines import lora, server  # noqa: F401
from tests.unit.test_server_sampler import client, stub  # noqa: F401

from neat_align.errors import RewardError, TrainingError
from neat_align.evaluation import EvaluationSettings, evaluate
from neat_align.evaluation.suite import Evaluated
from neat_align.objectives import D2O, DPO, KTO, NEAT, PRO, RRHF
from neat_align.sampling.base import Decoding
from neat_align.sampling.server import ServerSampler
from neat_align.scoring import resolve_scorer
from neat_align.scoring.named.judge import ServerJudge
from neat_align.training.group_source import dealt
from neat_align.types import Query

BAD = [{"message": {"content": None}, "finish_reason": "content_filter"}]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def refuse(stub, *words):
    """No answer to queries that end so."""
    stub.choices = lambda body: (
        BAD if body["messages"][-1]["content"].endswith(tuple(f"{w}?" for w in words)) else None
    )


def differing(body):
    """Answers of several lengths, the same to the same question."""
    text = str(body["messages"])
    return "yes " * (1 + len(text) % 3 + 3 * ("Be " in text))


def online(stub, path, tokenizer, steering, queries, **settings):
    stub.reply = differing
    sampler = ServerSampler(client(stub), concurrency=2)
    return trainer_of(path, tokenizer, steering, queries, sampler=sampler, **settings)


@pytest.mark.parametrize(
    ("size", "objective"),
    [
        (3, NEAT()),
        (1, NEAT()),
        (1, KTO()),
        *(pytest.param(1, o, marks=pytest.mark.nightly) for o in (DPO(), D2O(), PRO(), RRHF())),
    ],
)
def test_a_refused_query_stops_no_training(
    tmp_path, tokenizer, steering, queries, stub, caplog, size, objective
):
    """A batch of it alone changes no weight; another is smaller by a group."""
    refuse(stub, "the lamp", "kettle")
    settings = {"per_device_train_batch_size": size, "max_steps": 6 // size}
    settings |= {"refresh_every": 6 // size}
    trainer = online(stub, tmp_path, tokenizer, steering, queries, objective=objective, **settings)
    before = weights(trainer)
    trainer.train()
    assert trainer.state.global_step == 6 // size
    assert all(torch.isfinite(w).all() for w in weights(trainer).values())
    assert any((w != before[n]).any() for n, w in weights(trainer).items())
    (share,) = [r["sampling/unanswered"] for r in rows(tmp_path) if "sampling/unanswered" in r]
    assert math.isclose(share, 1 / 2)
    assert "content_filter" in caplog.text


def test_a_batch_without_an_answer_among_others_counts_for_nothing(
    tmp_path, tokenizer, steering, queries, stub
):
    """The same refresh with and without the refused queries gives the same weights."""
    refuse(stub, "the lamp", "own lamp")
    few = [q for q in queries if not q.text.endswith(("the lamp?", "own lamp?"))]
    settings = {"max_steps": 1, "gradient_accumulation_steps": 6, "per_device_train_batch_size": 1}
    whole = online(stub, tmp_path / "a", tokenizer, steering, queries, **settings)
    whole.train()
    settings["gradient_accumulation_steps"] = 4
    without = online(stub, tmp_path / "b", tokenizer, steering, few, **settings)
    without.train()
    other = weights(without)
    for name, weight in weights(whole).items():
        torch.testing.assert_close(weight, other[name], rtol=1e-4, atol=1e-6)


def test_a_refresh_without_any_answer_is_an_error(tmp_path, tokenizer, steering, queries, stub):
    trainer = online(stub, tmp_path, tokenizer, steering, queries)
    told = iter(["yes"] * 8)
    stub.choices = lambda body: None if next(told, None) else BAD
    with pytest.raises(TrainingError, match="none of which was answered") as caught:
        trainer.train()
    assert "content_filter" in str(caught.value)


def judge_of(stub, **settings):
    judge = ServerJudge(stub.url, "m", concurrency=2, **settings)
    judge.client.first_pause = 0.01
    return judge


def test_a_judge_that_gives_some_no_grade_stops_no_training(
    tmp_path, tokenizer, steering, queries, stub
):
    def graded(body):
        text = body["messages"][-1]["content"]
        return f"Grade: {1 + len(text) % 5}" if "kettle" not in text else "Hm."

    stub.reply = graded
    settings = {"reward_funcs": [judge_of(stub), lambda completions: [1.0] * len(completions)]}
    settings |= {"max_steps": 3, "refresh_every": 3}
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    trainer.train()
    assert trainer.state.global_step == 3
    assert any(row.get("sampling/unanswered") for row in rows(tmp_path))
    stub.reply = lambda body: "Hm."
    settings["reward_funcs"] = judge_of(stub, journal=str(tmp_path / "new.jsonl"))
    trainer = trainer_of(tmp_path / "again", tokenizer, steering, queries, **settings)
    with pytest.raises((RewardError, TrainingError), match="no grade"):
        trainer.train()


def test_an_engines_refused_answer_stops_no_training(
    tmp_path, tokenizer, steering, queries, server, caplog
):
    """Aborted, refused and broken answers; half an answer is none."""
    seen = {}

    def instead(body):
        if body["temperature"] == 1 and body["max_tokens"] == 16:
            return None  # the probe
        seen[tuple(body["prompt"])] = None
        number = list(seen).index(tuple(body["prompt"]))
        choice = {"token_ids": [5], "logprobs": {"token_logprobs": [-1.0]}}
        return {
            1: (400, "too long"),
            3: (200, json.dumps({"choices": [{**choice, "finish_reason": "abort"}]})),
        }.get(number)

    server.instead = instead
    settings = {"engine": "adapter-server", "engine_url": server.url, "peft_config": lora()}
    settings |= {"temperature": 0.0, "max_steps": 3, "refresh_every": 3}
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    trainer.maker.engine.engine.client.first_pause = 0.001
    trainer.train()
    assert trainer.state.global_step == 3
    assert any(row.get("sampling/unanswered") for row in rows(tmp_path))
    assert all(body["repetition_penalty"] == 1 for body in server.bodies)


def test_an_engine_that_refuses_everything_is_an_error(
    tmp_path, tokenizer, steering, queries, server
):
    server.instead = lambda body: (400, "no") if body["max_tokens"] != 16 else None
    settings = {"engine": "adapter-server", "engine_url": server.url, "peft_config": lora()}
    trainer = trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    with pytest.raises(TrainingError, match="none of which was answered"):
        trainer.train()


def test_groups_are_dealt_as_they_were_or_evenly():
    assert dealt([1, 2, 3], [2, 1]) == [[1, 2], [3]]
    assert dealt([1, 2, 3], [2, 2]) == [[1, 2], [3]]
    assert dealt([1], [2, 2, 1]) == [[1], [], []]
    assert dealt([], [2]) == [[]]


def test_an_evaluation_leaves_out_what_was_not_answered_or_graded(stub, steering, tmp_path):
    queries = [Query.from_text(f"query {i}?") for i in range(4)]
    refuse(stub, "query 1")
    models = {"base": Evaluated(ServerSampler(client(stub)))}
    settings = EvaluationSettings(Decoding(8), 0, 2)
    found = evaluate(models, queries, steering, settings, {"train": resolve_scorer("polarity")})
    samples = found.models["base"].samples
    plain = [(s["query"], s["draw"]) for s in samples if s["condition"] == "plain"]
    assert plain == [(f"query {i}?", draw) for i in (0, 2, 3) for draw in (0, 1)]
    refuse(stub, "nothing")
    stub.reply = lambda body: "Grade: 5" if "query 2" not in str(body["messages"]) else "Hm."
    found = evaluate(models, queries, steering, settings, {"train": judge_of(stub)})
    scores = {s["query"]: s["scores"]["train"] for s in found.models["base"].samples}
    assert scores == {"query 0?": 5.0, "query 1?": 5.0, "query 2?": None, "query 3?": 5.0}
    json.dumps(found.models["base"].samples, allow_nan=False)
