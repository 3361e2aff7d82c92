"""Benchmarks of bare texts: log-likelihoods without a chat template, and what is made of them."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

from neat_align.errors import DataError
from neat_align.evaluation import Evaluated, EvaluationSettings, evaluate
from neat_align.evaluation.local import evaluated_model
from neat_align.evaluation.prompted import prompted_model
from neat_align.evaluation.registry import benchmark
from neat_align.models import logprobs
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.steering import Steering
from neat_align.provenance import Source
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.types import Query

STEERING = Steering("test", (), ("Be bad.",))


def scripted(likelihood):
    """Tell (nats, tokens) of a text behind a start by a function."""

    def bare(texts):
        return [[(likelihood(start, t), len(t.split())) for t in own] for start, own in texts]

    mute = ScriptedSampler(lambda request: "x")
    return Evaluated(mute, lambda groups: [[0.0] for _ in groups], bare=bare)


def figures(task, model):
    queries = [Query.from_text("question?")]
    return evaluate({"m": model}, queries, STEERING, EvaluationSettings(), {}, tasks=[task])


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def by_hand(model, ids, counted):
    """Sum the log-probs of the last `counted` of token ids."""
    with torch.no_grad():
        logps = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    first = len(ids) - counted
    return sum(float(logps[i - 1, ids[i]]) for i in range(first, len(ids)))


# ------------------------------------------------------------------------ the log-likelihood


def test_a_bare_text_is_scored_without_a_template(tokenizer, model):
    chat = PromptFormat(tokenizer)
    start, texts = "how do I clean", [" the lamp", " my own kettle today"]
    told = logprobs.bare_logps(model, chat, [(start, texts), ("", ["polish the kettle"])])
    before = [tokenizer.eos_token_id, *tokenizer(start)["input_ids"]]
    for text, (logp, tokens) in zip(texts, told[0], strict=True):
        own = tokenizer(text)["input_ids"]
        assert tokens == len(own)
        assert logp == pytest.approx(by_hand(model, [*before, *own], len(own)), abs=1e-4)
    own = tokenizer("polish the kettle")["input_ids"]
    ((logp, tokens),) = told[1]
    assert tokens == len(own)  # the first token counts, too
    whole = by_hand(model, [tokenizer.eos_token_id, *own], len(own))
    assert logp == pytest.approx(whole, abs=1e-4)


def test_a_long_text_is_read_in_windows_behind_its_start(tokenizer, model, monkeypatch):
    monkeypatch.setattr(logprobs, "WINDOW", 9)
    ids = tokenizer("how do I clean the lamp with a cloth " * 3)["input_ids"]
    text, first = tokenizer.decode(ids), tokenizer.eos_token_id
    ((logp, tokens),) = logprobs.bare_logps(model, PromptFormat(tokenizer), [("", [text])])[0:1][0]
    parts = [ids[i : i + 8] for i in range(0, len(ids), 8)]
    assert len(parts) > 2
    assert tokens == len(ids)
    expected = sum(by_hand(model, [first, *part], len(part)) for part in parts)
    assert logp == pytest.approx(expected, abs=1e-3)


def test_a_special_token_in_a_bare_text_is_read_as_letters(tokenizer):
    _, (ids,) = PromptFormat(tokenizer).bare_ids("", [f"a {tokenizer.eos_token} b"])
    assert tokenizer.eos_token_id not in ids


def test_a_text_begins_behind_the_token_that_parts_texts(tokenizer):
    from copy import deepcopy

    own = deepcopy(tokenizer)
    assert PromptFormat(own).text_start == own.eos_token_id  # it has no BOS
    own.add_special_tokens({"bos_token": "<|im_start|>"})
    assert PromptFormat(own).text_start == own.bos_token_id
    own.add_special_tokens({"additional_special_tokens": ["<|endoftext|>"]})
    assert PromptFormat(own).text_start == own.convert_tokens_to_ids("<|endoftext|>")


# --------------------------------------------------------------------------------- the tasks


def pair(good, bad, term="binding"):
    return {"sentence_good": good, "sentence_bad": bad, "linguistics_term": term, "UID": "x"}


def test_blimp_counts_pairs_whose_good_sentence_is_likelier(tmp_path, tokenizer, model):
    (tmp_path / "data").mkdir()
    written(tmp_path / "data/a.jsonl", [pair("he sees him", "he see him", "s-selection")])
    written(tmp_path / "data/b.jsonl", [pair("I go", "I goes"), pair("a a", "b b"), pair("c", "d")])
    nats = {"he sees him": -3.0, "he see him": -4.0, "I go": -1.0, "I goes": -0.5}
    task = benchmark("blimp").of(tmp_path / "data")
    found = figures(task, scripted(lambda start, text: nats.get(text, -2.0))).flat()["m"]
    assert found["blimp/accuracy"] == 0.25  # ties are wrong
    assert (found["blimp/argument_structure"], found["blimp/binding"]) == (1.0, 0.0)
    assert "blimp/ellipsis" not in found
    own = figures(task, evaluated_model(model, tokenizer, "m")).models["m"].tasks["blimp"]
    ids = tokenizer("he sees him")["input_ids"]
    whole = by_hand(model, [tokenizer.eos_token_id, *ids], len(ids))
    assert own[0]["logps"][0] == pytest.approx(whole, abs=1e-4)


def test_a_prompted_model_tells_nothing_of_bare_texts(tmp_path, tokenizer, model):
    task = benchmark("blimp").of(written(tmp_path / "a.jsonl", [pair("I go", "I goes")]))
    models = {
        "base": evaluated_model(model, tokenizer, "base"),
        "prompt": prompted_model(model, tokenizer, ["Be good."], "prompt"),
    }
    queries = [Query.from_text("how do I wash the cup?")]
    found = evaluate(models, queries, STEERING, EvaluationSettings(), {}, tasks=[task]).flat()
    assert "blimp/accuracy" in found["base"]
    assert "blimp/accuracy" not in found["prompt"]


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("blimp", {"sentence_good": "a", "sentence_bad": ""}, "sentence_bad, linguistics_term"),
        ("blimp", pair("a", "b", "spelling"), "'spelling' is new"),
    ],
)
def test_a_row_of_another_kind_is_refused_with_its_line(tmp_path, name, row, words):
    with pytest.raises(DataError, match="line 1") as caught:
        benchmark(name).of(written(tmp_path / "rows.jsonl", [row]))
    assert words in str(caught.value)


def test_a_directory_without_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="no data file"):
        benchmark("blimp").of(tmp_path)


def test_a_directory_is_known_by_the_rows_of_its_files(tmp_path):
    written(tmp_path / "a.jsonl", [pair("I go", "I goes")])
    before = Source("data", str(tmp_path)).content()
    (tmp_path / "notes.md").write_text("no data")
    assert Source("data", str(tmp_path)).content() == before
    written(tmp_path / "b.jsonl", [pair("I am", "I is")])
    assert Source("data", str(tmp_path)).content() != before


# ----------------------------------------------------------------------------- the real files


def test_all_of_blimp_is_read_as_one_task(tmp_path, shared_data):
    with zipfile.ZipFile(shared_data / "blimp/BLiMP.zip") as file:
        file.extractall(tmp_path)
    task = benchmark("blimp")
    queries = task.read(tmp_path / "data")
    assert len(queries) == 67_000
    assert len({query.id for query in queries}) == 66_999  # one pair is there twice
    assert len({query.meta["kind"] for query in queries}) == 12
