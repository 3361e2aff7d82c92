"""What users make themselves (models, optimisers, samplers, objectives): taken, or told why not."""

import dataclasses

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.conftest import make_llama
from tests.trainers import assert_same, config, length_reward, stored_groups, trainer_of, weights
from transformers import (
    HfArgumentParser,
    LlamaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

from neat_align.errors import DataError, NeatError
from neat_align.objectives import SFT, LossTerms, Objective
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.training.config import NEATConfig
from neat_align.training.declared import declared_fields
from neat_align.training.trainer import NEATTrainer


@pytest.fixture
def make(tmp_path, tokenizer, steering, queries):
    def made(**given):
        optimizers = given.pop("optimizers", None)
        if optimizers is None:
            return trainer_of(tmp_path, tokenizer, steering, queries, **{"max_steps": 1, **given})
        return NEATTrainer(
            given.pop("model", None) or make_llama(tokenizer), args=config(tmp_path),
            steering=steering, reward_funcs=length_reward, train_dataset=queries,
            processing_class=tokenizer, optimizers=optimizers, **given,
        )  # fmt: skip

    return made


def refused(make, words, **given):
    with pytest.raises(NeatError) as caught:
        make(**given).train()
    text = str(caught.value)
    assert words in text
    assert text.count("why: ") == text.count("fix: ") > 0


# ------------------------------------------------------------------------------- models


def test_models_that_cannot_be_trained(make, tokenizer):
    with torch.device("meta"):
        empty = make_llama(tokenizer)
    refused(make, "meta device", model=empty)
    refused(make, "meta device", objective="dpo", reference_model=empty)
    small = T5Config(vocab_size=9, d_model=8, d_ff=8, num_layers=1, num_heads=1, d_kv=8)
    refused(make, "encoder-decoder", model=T5ForConditionalGeneration(small))


def test_the_reference_is_another_model_that_knows_the_tokens(make, tokenizer):
    model = make_llama(tokenizer)
    refused(make, "shares weights", model=model, reference_model=model, objective="dpo")
    assert all(p.requires_grad for p in model.parameters())
    small = make_llama(tokenizer)
    small.resize_token_embeddings(50)
    refused(make, "no embedding", reference_model=small, objective="dpo")
    base = make_llama(tokenizer)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    refused(make, "shares weights", model=adapted, reference_model=base, objective="dpo")


def test_an_adapter_merged_in_place_is_trained_as_any_other(make, tokenizer):
    ends = []
    for merge in (False, True):
        torch.manual_seed(0)
        settings = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        model = get_peft_model(make_llama(tokenizer), settings)
        if merge:
            model.merge_adapter()
        trainer = make(model=model)
        trainer.train()
        ends.append(weights(trainer))
    assert_same(*ends, rtol=0, atol=1e-3)


def test_a_reward_model_is_a_classifier_with_one_label(make, tokenizer):
    config = make_llama(tokenizer).config
    refused(make, "sequence classifier", reward_funcs=make_llama(tokenizer))
    config.num_labels = 3
    refused(make, "has 3", reward_funcs=LlamaForSequenceClassification(config))
    config.num_labels = 1
    refused(make, "where it came from", reward_funcs=LlamaForSequenceClassification(config))


# --------------------------------------------------------------------------- optimisers


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("adam", "no pair"),
        ((torch.optim.AdamW, None), "no torch.optim.Optimizer"),
        ((None, "linear"), "no scheduler"),
    ],
    ids=str,
)
def test_optimizers_that_are_none(make, given, words):
    refused(make, words, optimizers=given)


def test_an_optimizer_of_other_weights_would_train_nothing(make, tokenizer):
    other = torch.optim.SGD(make_llama(tokenizer, seed=1).parameters(), lr=0.1)
    refused(make, "stay as it is", optimizers=(other, None))
    model = make_llama(tokenizer)
    of_base = torch.optim.SGD(model.parameters(), lr=0.1)
    refused(make, "stay as it is", model=model, optimizers=(of_base, None), peft_config={"r": 2})


def test_an_optimizer_by_class(make):
    sgd = (torch.optim.SGD, {"lr": 0.5})
    trainer = make(optimizers=(None, None), optimizer_cls_and_kwargs=sgd)
    assert trainer.create_optimizer().param_groups[0]["lr"] == 0.5
    wrong = (torch.optim.SGD, {"lrr": 0.5})
    refused(make, "lrr", optimizers=(None, None), optimizer_cls_and_kwargs=wrong)
    refused(make, "no class", optimizers=(None, None), optimizer_cls_and_kwargs="sgd")


# ----------------------------------------------------------------- samplers, objectives


class TooFew:
    name = "few"

    def sample(self, requests, decoding):
        return []


@pytest.mark.parametrize("given", [ScriptedSampler, print, 3])
def test_a_sampler_has_a_method_that_samples(make, given):
    refused(make, "sample(requests, decoding)", sampler=given)


def test_a_sampler_answers_every_request(make):
    refused(make, "0 responses for", sampler=TooFew())


def test_a_script_answers_with_texts(make):
    refused(make, "returned NoneType", sampler=ScriptedSampler(lambda request: None))


def mine(terms, **asks):
    asked = {name: property(lambda self: True) for name in asks}
    call = {"__call__": lambda self, logps: terms(logps), "name": "mine"}
    return type("Mine", (Objective,), {**call, **asked})()


def total(logps):
    return torch.where(logps.present, logps.policy, 0).sum(1)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (lambda logps: None, "no LossTerms"),
        (lambda logps: total(logps), "no LossTerms"),
        (lambda logps: LossTerms({}), "without a term"),
        (lambda logps: LossTerms({"a": total(logps).mean()}), "not one value for each of 2"),
        (lambda logps: LossTerms({"a": logps.policy}), "not one value for each of 2"),
        (lambda logps: LossTerms({"a": 1.0}), "is float"),
        (lambda logps: LossTerms({"a": total(logps).detach()}), "nothing would be learned"),
        (
            lambda logps: LossTerms({"a": total(logps)}, {}, {"m": logps.policy}),
            "one for each group",
        ),
        (lambda logps: LossTerms({"a": logps.tokens.sum()}), "where needs_"),
    ],
)
def test_an_objective_with_a_fault_is_told_of(make, terms, words):
    refused(make, words, objective=mine(terms))


def test_a_kl_needs_the_reference(make):
    def terms(logps):
        return LossTerms({"a": logps.kl - total(logps)})

    refused(make, "needs_reference", objective=mine(terms, needs_kl=True))
    make(objective=mine(terms, needs_kl=True, needs_reference=True)).train()


# ------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_level", ""),
        ("report_to", ""),
        ("output_dir", " "),
        ("torch_compile_backend", "x"),
        ("stop_strings", object()),
        ("stop_strings", {"a"}),
        ("chat_template_kwargs", 3j),
        ("chat_template_kwargs", "thinking"),
        ("lr_scheduler_kwargs", print),
        ("accelerator_config", print),
    ],
)
def test_values_of_a_strange_kind(name, value):
    with pytest.raises(NeatError) as caught:
        NEATConfig(**{"output_dir": "unused", "use_cpu": True, name: value})
    assert name in str(caught.value)


def test_settings_of_a_command_line():
    (parser,) = [HfArgumentParser(NEATConfig)]
    given = ["--output_dir", "unused", "--use_cpu"]
    (args,) = parser.parse_args_into_dataclasses(given)
    assert args == NEATConfig(output_dir="unused", use_cpu=True)
    more = ["--stop_strings", "END", "###", "--chat_template_kwargs", '{"a": 1}', "--top_k", "3"]
    (args,) = parser.parse_args_into_dataclasses(given + more)
    assert (args.stop_strings, args.top_k) == (["END", "###"], 3)
    assert args.template_arguments == {"a": 1}
    declared_fields.cache_clear()  # the parser has written into the fields by now
    assert declared_fields()["top_k"].annotation == "int"


def test_settings_are_copied():
    args = NEATConfig(output_dir="unused", use_cpu=True, top_k=3)
    assert NEATConfig(**args.to_dict()).top_k == 3
    assert dataclasses.replace(args, top_p=0.5).top_k == 3


def test_a_setting_changed_afterwards_is_looked_at(make, tmp_path, tokenizer, steering, queries):
    args = config(tmp_path)
    args.max_steps = 0
    args.temperature = -1
    with pytest.raises(NeatError, match="max_steps=0") as caught:
        NEATTrainer(
            make_llama(tokenizer), length_reward, args, queries,
            processing_class=tokenizer, steering=steering,
        )  # fmt: skip
    assert "temperature" in str(caught.value)


# ------------------------------------------------------------------------ using a trainer


def test_a_second_training_samples_anew(make):
    trainer = make(max_steps=2, refresh_every=3)
    trainer.train()
    drawn, sample = [], trainer.maker.policy.sample
    trainer.maker.policy.sample = lambda r, d: drawn.append(len(r)) or sample(r, d)
    trainer.train()
    assert drawn == [3 * 2 * 4]
    assert [len(batch) for batch in trainer.source.pending] == [2]


def test_what_the_trainer_has_and_this_one_cannot_do(make, queries):
    trainer = make(eval_dataset={"a": queries[:1]})
    with pytest.raises(DataError, match="evaluate"):
        trainer.evaluate("b")
    for name in ("predict", "hyperparameter_search", "push_to_hub"):
        with pytest.raises(NeatError, match=name):
            getattr(trainer, name)(*[queries] * (name == "predict"))


@pytest.mark.parametrize(
    ("later", "words"),
    [
        ({"learning_rate": 1e-2}, "settings.learning_rate"),
        ({"seed": 7}, "settings.seed"),
        ({"negative_samples": 2}, "settings.negative_samples"),
        ({"peft_config": {"r": 2}}, "model.adapter"),
    ],
    ids=str,
)
def test_a_checkpoint_is_of_its_settings_and_its_model(make, later, words):
    usual = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    make(**usual).train()
    trainer = make(**usual, **later)
    with pytest.raises(NeatError, match=words):
        trainer.train(resume_from_checkpoint=True)


def test_what_is_given_and_not_used_is_told(tmp_path, tokenizer, queries, steering, caplog):
    groups = stored_groups(tokenizer, queries, steering)
    place = tmp_path, tokenizer, steering

    def told(dataset, **given):
        caplog.clear()
        trainer_of(*place, dataset, **given)
        return [record.getMessage().split(":")[0] for record in caplog.records]

    assert told(groups, sampler=ScriptedSampler("a")) == ["reward_funcs", "sampler"]
    assert told(groups, eval_dataset=queries, eval_strategy="steps") == []
    other = make_llama(tokenizer)
    assert told(queries, objective=SFT(), reference_model=other) == ["reference_model"]
    assert told(queries, reference_model=other) == []
