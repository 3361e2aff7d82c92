"""A reward model's score does not depend on batch, padding side or pad token."""

import dataclasses

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)

from neat_align.data import Preference
from neat_align.errors import DataError, RewardError
from neat_align.pretraining import reward_model as reward_training
from neat_align.pretraining.reward_model import RewardModelSettings, train_reward_model
from neat_align.pretraining.trainer import train_and_save
from neat_align.prompts.chat import PromptFormat
from neat_align.scoring.reward_model import RewardModelScorer
from neat_align.types import Group, Query, Response, Source

SETTINGS = RewardModelSettings(learning_rate=3e-3, epochs=3, batch_size=8, holdout=0.2)


def reward_model(model_dir):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(model_dir, num_labels=1).eval()


def groups():
    texts = ("cloth", "a lamp and a kettle and more of it", "", "clean")
    finishes = ("stop", "length", "stop", "stop")
    responses = tuple(Response(t, Source.PLAIN, finish=f) for t, f in zip(texts, finishes))
    return [Group(Query.from_text("how do I clean " + "it " * i), responses) for i in range(1, 4)]


def alone(model, prompt_format, query, response):
    """Compute the definition: the head on the last token of the text, by itself."""
    ids = prompt_format.conversation_ids(query, response.text)
    hidden = model.model(torch.tensor([ids])).last_hidden_state
    return model.score(hidden[:, -1]).item()


@pytest.mark.parametrize("pad", ["eos", "pad", None])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_tokens", [1, 40, 4096])
def test_scores_equal_those_of_each_text_alone(model_dir, pad, side, max_tokens):
    model, tokenizer = reward_model(model_dir), AutoTokenizer.from_pretrained(model_dir)
    tokenizer.padding_side = side
    tokenizer.pad_token = {"eos": tokenizer.eos_token, "pad": tokenizer.pad_token}.get(pad)
    model.config.pad_token_id = tokenizer.pad_token_id
    found = RewardModelScorer(model, tokenizer, max_tokens=max_tokens).score(groups())
    for group, scores in zip(groups(), found):
        expected = [alone(model, PromptFormat(tokenizer), group.query, r) for r in group.responses]
        assert scores == pytest.approx(expected, abs=1e-4)
    assert model.config.pad_token_id == tokenizer.pad_token_id


def test_a_group_with_an_empty_response_is_scored_as_the_others(model_dir):
    model, tokenizer = reward_model(model_dir), AutoTokenizer.from_pretrained(model_dir)
    empty = Response("", Source.PLAIN, finish="length")  # not one token: the row is the query
    mixed = [*groups(), Group(groups()[0].query, (Response("cloth", Source.PLAIN), empty))]
    found = RewardModelScorer(model, tokenizer).score(mixed)
    for group, scores in zip(mixed, found, strict=True):
        expected = [alone(model, PromptFormat(tokenizer), group.query, r) for r in group.responses]
        assert scores == pytest.approx(expected, abs=1e-4)


def pairs(count=120):
    return [
        Preference(Query.from_text(f"clean the lamp {i}"), f"a cloth {i}", f"kettle today {i}")
        for i in range(count)
    ]


def test_training_orders_held_out_pairs(model_dir, tmp_path):
    told = train_reward_model(model_dir, pairs(), tmp_path / "rm", SETTINGS)
    assert (told.n_train, told.n_heldout) == (96, 24)
    assert told.accuracy_heldout > 0.9
    scorer = RewardModelScorer.from_pretrained(tmp_path / "rm")
    assert scorer.name == "rm"
    answers = (Response("a cloth 7", Source.PLAIN), Response("kettle today 7", Source.PLAIN))
    ((good, bad),) = scorer.score([Group(Query.from_text("clean the lamp 7"), answers)])
    assert good > bad


def test_an_adapter_is_trained_and_merged(model_dir, tmp_path):
    adapted = dataclasses.replace(SETTINGS, learning_rate=2e-2, lora={"r": 4})
    told = train_reward_model(model_dir, pairs(), tmp_path / "rm", adapted)
    assert told.accuracy_heldout > 0.9
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").state_dict()
    base = AutoModelForCausalLM.from_pretrained(model_dir).state_dict()
    moved = {
        name for name in saved.keys() & base.keys() if not torch.equal(saved[name], base[name])
    }
    assert moved == {name for name in saved if name.endswith("_proj.weight")}


def test_an_interrupted_adapter_ends_alike(model_dir, tmp_path, monkeypatch):
    adapted = dataclasses.replace(SETTINGS, epochs=1, lora={"r": 4})
    train_reward_model(model_dir, pairs(40), tmp_path / "a", adapted)
    with monkeypatch.context() as patch:
        patch.setattr(reward_training, "train_and_save", killed_after(2))
        with pytest.raises(KeyboardInterrupt):
            train_reward_model(model_dir, pairs(40), tmp_path / "b", adapted)
    train_reward_model(model_dir, pairs(40), tmp_path / "b", adapted)
    first, second = (
        AutoModelForSequenceClassification.from_pretrained(tmp_path / n).state_dict() for n in "ab"
    )
    assert all(torch.equal(first[k], second[k]) for k in first)


def killed_after(steps):
    """Return a training that is killed once its checkpoint of that many steps stands."""

    class Kill(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step >= steps:
                raise KeyboardInterrupt

    def train(trainer, tokenizer, output_dir):
        trainer.add_callback(Kill())
        train_and_save(trainer, tokenizer, output_dir)

    return train


def test_same_seed_same_weights(model_dir, tmp_path):
    short = dataclasses.replace(SETTINGS, epochs=1)
    for name in ("a", "b"):
        train_reward_model(model_dir, pairs(40), tmp_path / name, short)
    first, second = (
        AutoModelForSequenceClassification.from_pretrained(tmp_path / n).state_dict() for n in "ab"
    )
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_pairs_of_one_query_stay_on_one_side(model_dir, tmp_path):
    same = [dataclasses.replace(p, query=Query.from_text("clean")) for p in pairs(10)]
    with pytest.raises(DataError, match="holding out"):
        train_reward_model(model_dir, same, tmp_path / "rm", SETTINGS)


def test_a_language_model_is_no_reward_model(model_dir):
    with pytest.raises(RewardError, match="sequence classifier"):
        RewardModelScorer.from_pretrained(model_dir)
