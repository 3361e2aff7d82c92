"""Training a small language model from scratch."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from neat_align.pretraining.language_model import (
    LanguageModelSettings,
    LanguageModelTrainer,
    encode_document,
    train_language_model,
)
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Document, Query

TINY = LanguageModelSettings(
    hidden_size=32, layers=1, heads=2, intermediate_size=32, vocab_size=320, steps=60, batch_size=8
)


def documents():
    pairs = {"say one": "one", "say two": "two two", "say three": "three three three"}
    return [Document(Query.from_text(q), a) for q, a in pairs.items()] * 8


def test_it_learns_the_answers(tmp_path, capsys):
    path = train_language_model(documents(), tmp_path, TINY)
    assert capsys.readouterr().out == ""  # no figures of the Trainer's on a user's console
    model = AutoModelForCausalLM.from_pretrained(path)
    prompt_format = PromptFormat(AutoTokenizer.from_pretrained(path))
    for document in documents()[:3]:
        prompt = torch.tensor([prompt_format.query_ids(document.query.messages)])
        drawn = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False
        )
        assert prompt_format.decode(drawn[0, prompt.shape[1] :]) == document.text


def test_same_seed_same_weights(tmp_path):
    import dataclasses

    tiny = dataclasses.replace(TINY, steps=3)
    states = [
        AutoModelForCausalLM.from_pretrained(
            train_language_model(documents(), tmp_path / name, dataclasses.replace(tiny, seed=seed))
        ).state_dict()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not all(torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_prompt_tokens_weigh_less_and_notes_weigh_one(tokenizer):
    prompt_format = PromptFormat(tokenizer)
    query = Query.from_text("clean the lamp")
    row = encode_document(Document(query, "cloth"), prompt_format, TINY)
    prompt = prompt_format.query_ids(query.messages)
    assert row["weights"][: len(prompt)] == [TINY.prompt_weight] * len(prompt)
    assert set(row["weights"][len(prompt) :]) == {1.0}
    assert row["input_ids"][-1] == tokenizer.eos_token_id
    assert set(encode_document(Document(None, "lamp"), prompt_format, TINY)["weights"]) == {1.0}


def test_a_long_document_keeps_its_end(tokenizer):
    import dataclasses

    short = dataclasses.replace(TINY, max_length=5)
    row = encode_document(Document(None, "clean the lamp " * 9), PromptFormat(tokenizer), short)
    assert len(row["input_ids"]) == len(row["weights"]) == 5
    assert row["input_ids"][-1] == tokenizer.eos_token_id


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole = train_language_model(documents(), tmp_path / "whole", TINY)
    step = LanguageModelTrainer.training_step
    steps = 0

    def stop_after_thirty(*args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == 31:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    monkeypatch.setattr(LanguageModelTrainer, "training_step", stop_after_thirty)
    with pytest.raises(KeyboardInterrupt):
        train_language_model(documents(), tmp_path / "cut", TINY)
    assert [p.name[:5] for p in tmp_path.iterdir() if "cut" in p.name] == [".cut-"]
    cut = train_language_model(documents(), tmp_path / "cut", TINY)
    assert steps == 31 + 60 - 24  # the last checkpoint was that of step 24
    weights = [(path / "model.safetensors").read_bytes() for path in (whole, cut)]
    assert weights[0] == weights[1]
    assert [p.name for p in tmp_path.iterdir() if "cut" in p.name] == ["cut"]
