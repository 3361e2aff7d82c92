"""Adapters: drawn from the seed, saved as they were trained, and models like any other."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tests.conftest import make_llama
from tests.trainers import config
from transformers import AutoModelForSequenceClassification

from neat_align.errors import NeatError
from neat_align.models import check_model_source, load_causal_lm, load_tokenizer, load_weights
from neat_align.objectives import DPO
from neat_align.scoring import check_scorer_value
from neat_align.training.save_policy import save_policy
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Group, Response, Source

IDS = torch.tensor([[5, 9, 17, 33, 8, 120, 7]])


def lora(**settings):
    given = {"r": 4, "lora_alpha": 64, "target_modules": "all-linear", **settings}
    return LoraConfig(task_type="CAUSAL_LM", **given)


def trained(path, tokenizer, queries, steering, base, adapter=None, **settings):
    groups = scored(queries)
    args = config(path, max_steps=1, learning_rate=5e-2, **settings)
    trainer = NEATTrainer(
        base, None, args, groups, processing_class=tokenizer, peft_config=adapter,
        objective=DPO(), steering=steering,
    )  # fmt: skip
    trainer.train()
    return trainer


def scored(queries):
    texts = ("a lamp", "polish it with a cloth")
    return [
        Group(
            query,
            tuple(
                Response(t, Source.NEGATIVE, "Be bad.", score=float(i)) for i, t in enumerate(texts)
            ),
        )
        for query in queries[:2]
    ]


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("tied", "adapter"),
    [
        (False, {"target_modules": ["lm_head", "embed_tokens"]}),
        (True, {"target_modules": ["q_proj", "lm_head"]}),
        (True, {"target_modules": ["lm_head", "embed_tokens"]}),
        (True, {"modules_to_save": ["embed_tokens"]}),
        (True, {"use_dora": True}),
        (False, {"use_rslora": True}),
        (True, {"bias": "all"}),
    ],
    ids=str,
)
def test_the_saved_policy_is_the_trained_one(tmp_path, tokenizer, queries, steering, tied, adapter):
    make_llama(tokenizer, tie_word_embeddings=tied, attention_bias=True).save_pretrained(
        tmp_path / "base"
    )
    tokenizer.save_pretrained(tmp_path / "base")
    trainer = trained(
        tmp_path / "t", tokenizer, queries, steering, str(tmp_path / "base"), lora(**adapter)
    )
    expected = logits(trainer.model)
    save_policy(trainer, tmp_path / "policy")
    base = logits(load_causal_lm(tmp_path / "base"))
    assert (expected - base).abs().max() > 0.05
    for path in ("policy", "policy/adapter"):
        found = logits(load_causal_lm(tmp_path / path))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_an_adapter_alone_is_a_policy(tmp_path, tokenizer, queries, steering, model_dir):
    trainer = trained(
        tmp_path / "t", tokenizer, queries, steering, str(model_dir), lora(), merge_adapter=False
    )
    expected = logits(trainer.model)
    save_policy(trainer, tmp_path / "policy")
    assert not list(tmp_path.glob("policy/model*.safetensors"))
    assert not (tmp_path / "policy" / "adapter").exists()
    torch.testing.assert_close(logits(load_causal_lm(tmp_path / "policy")), expected)
    assert len(load_tokenizer(tmp_path / "policy")) == len(tokenizer)
    again = trained(tmp_path / "u", tokenizer, queries, steering, str(tmp_path / "policy"))
    torch.testing.assert_close(logits(again.reference.policy), logits(again.model))
    with again.reference.model() as reference:
        torch.testing.assert_close(logits(reference), expected)
    assert not torch.equal(logits(again.model), expected)


def test_a_new_adapter_is_drawn_from_the_seed(tmp_path, tokenizer, queries, steering):
    def start(seed, before):
        torch.manual_seed(before)
        trainer = NEATTrainer(
            make_llama(tokenizer), None, config(tmp_path, seed=seed), scored(queries),
            processing_class=tokenizer, peft_config=lora(), objective=DPO(), steering=steering,
        )  # fmt: skip
        named = trainer.model.named_parameters()
        return torch.cat([p.detach().flatten() for n, p in named if "lora_A" in n])

    assert torch.equal(start(3, before=1), start(3, before=2))
    assert not torch.equal(start(3, before=1), start(4, before=1))


def test_a_reference_is_not_moved_by_trained_biases(tmp_path, tokenizer, queries, steering):
    model = make_llama(tokenizer, attention_bias=True)
    before = logits(model)
    trainer = trained(tmp_path, tokenizer, queries, steering, model, lora(bias="all"))
    with trainer.reference.model() as reference:
        torch.testing.assert_close(logits(reference), before)


@pytest.mark.parametrize("trainable", [False, True])
def test_an_adapter_that_is_frozen(tmp_path, tokenizer, queries, steering, model_dir, trainable):
    get_peft_model(load_causal_lm(model_dir), lora()).save_pretrained(tmp_path / "a")
    base = load_causal_lm(model_dir)
    model = PeftModel.from_pretrained(base, tmp_path / "a", is_trainable=trainable)
    if trainable:
        trained(tmp_path / "t", tokenizer, queries, steering, model)
        return
    with pytest.raises(NeatError, match="is_trainable=True"):
        trained(tmp_path / "t", tokenizer, queries, steering, model)


def test_an_adapter_where_a_whole_model_is_wanted(tmp_path, model_dir):
    get_peft_model(load_causal_lm(model_dir), lora()).save_pretrained(tmp_path / "a")
    (problem,) = check_scorer_value(str(tmp_path / "a"))
    assert "whole model" in str(problem)
    with pytest.raises(NeatError, match="whole model"):
        load_weights(AutoModelForSequenceClassification, tmp_path / "a", num_labels=1)


def test_an_adapter_is_found_its_base(tmp_path, model_dir):
    get_peft_model(load_causal_lm(model_dir), lora()).save_pretrained(tmp_path / "a")
    config_path = tmp_path / "a" / "adapter_config.json"
    content = json.loads(config_path.read_text())
    config_path.write_text(json.dumps({**content, "base_model_name_or_path": "../model"}))
    assert isinstance(load_causal_lm(tmp_path / "a"), PeftModel)
    assert len(load_tokenizer(tmp_path / "a"))
    for base, word in (("nowhere/at/all", "nowhere/at/all"), (None, "base_model_name_or_path")):
        config_path.write_text(json.dumps({**content, "base_model_name_or_path": base}))
        with pytest.raises(NeatError, match=word):
            load_causal_lm(tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").unlink()
    config_path.write_text(json.dumps(content))
    with pytest.raises(NeatError, match=r"adapter_model\.safetensors"):
        load_causal_lm(tmp_path / "a")


def saved_adapter(path, model_dir, **settings):
    model = get_peft_model(load_causal_lm(model_dir), lora(init_lora_weights=False, **settings))
    model.save_pretrained(path)
    return model


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"], "use_dora": True},
        {"target_modules": ["q_proj"], "trainable_token_indices": [3, 4]},
    ],
)
def test_every_weight_of_an_adapter_is_taken(tmp_path, model_dir, settings):
    given = saved_adapter(tmp_path / "a", model_dir, **settings)
    assert torch.equal(logits(load_causal_lm(tmp_path / "a")), logits(given))


def test_a_part_of_an_adapter_that_its_config_does_not_name_is_told(tmp_path, model_dir):
    saved_adapter(tmp_path / "a", model_dir, target_modules=["q_proj", "v_proj"])
    written = tmp_path / "a" / "adapter_config.json"
    content = {**json.loads(written.read_text()), "target_modules": ["q_proj"]}
    written.write_text(json.dumps(content))
    with pytest.raises(NeatError, match=r"v_proj.* and 1 more are in its weights"):
        load_causal_lm(tmp_path / "a")


def test_an_adapter_of_an_adapter_is_told_before_anything_is_loaded(tmp_path, model_dir):
    saved_adapter(tmp_path / "a", model_dir)
    written = tmp_path / "a" / "adapter_config.json"
    content = json.loads(written.read_text())
    written.write_text(json.dumps({**content, "base_model_name_or_path": str(tmp_path / "a")}))
    (problem,) = check_model_source(tmp_path / "a", "policy")
    assert "is an adapter itself" in problem.why
    with pytest.raises(NeatError, match="adapter itself"):
        load_causal_lm(tmp_path / "a")
