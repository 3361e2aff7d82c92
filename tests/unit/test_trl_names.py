"""Every name that TRL's trainers and configs have is ours, is taken as ours, or is answered."""

import inspect
import re
from dataclasses import fields

import pytest
import torch
from tests.conftest import make_llama
from tests.trainers import config, length_reward
from transformers import AutoModelForCausalLM, LlamaForSequenceClassification

from neat_align.errors import InputError
from neat_align.training import trl_names as names
from neat_align.training.arguments import ARGUMENTS
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer
from neat_align.training.trainer_fields import REFUSED

# TRL and what it imports warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")
OURS = {field.name for field in fields(NEATConfig)}


def of_trl(name):
    import trl

    return getattr(trl, name)


def settings(**given):
    return NEATConfig(output_dir="unused", use_cpu=True, **given)


# ------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("kind", ["GRPOConfig", "DPOConfig"])
def test_no_setting_of_trl_falls_through(kind):
    for name in {field.name for field in fields(of_trl(kind))} - OURS:
        if name in names.ACCEPTED_SETTINGS:
            assert names.ACCEPTED_SETTINGS[name] in OURS
            continue
        with pytest.raises(InputError) as caught:
            settings(**{name: 3})
        assert "did you mean" not in caught.value.fix, name
        assert "use one of" not in caught.value.fix, name


@pytest.mark.parametrize("kind", ["GRPOTrainer", "DPOTrainer"])
def test_no_argument_of_trl_falls_through(kind):
    for name in {*inspect.signature(of_trl(kind)).parameters} - {*ARGUMENTS}:
        assert name in names.ACCEPTED_ARGUMENTS or name in names.REFUSED_ARGUMENTS


def test_arguments_stand_where_grpo_has_them():
    def positional(trainer):
        parameters = inspect.signature(trainer).parameters.values()
        return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    ours = positional(NEATTrainer)
    assert ours == [name for name in positional(of_trl("GRPOTrainer")) if name in ours]


def test_the_tables_name_what_there_is():
    assert {*names.SAME_SETTINGS} <= OURS - {*REFUSED}
    assert {*names.UNREAD_SETTINGS} <= {*REFUSED}
    assert {*names.SAME_ARGUMENTS} <= {*ARGUMENTS}
    assert {*names.ACCEPTED_ARGUMENTS.values()} <= {*ARGUMENTS}
    assert not {*names.REFUSED_SETTINGS} & OURS
    assert not {*names.REFUSED_ARGUMENTS} & {*ARGUMENTS}
    for advice in names.REFUSED_SETTINGS.values():
        assert {*re.findall(r"write ([a-z]\w+)", advice)} <= OURS


# ----------------------------------------------------------------------------- settings


def test_settings_of_the_same_meaning_are_taken():
    made = settings(max_completion_length=7, max_prompt_length=9, num_generations=4)
    assert (made.max_new_tokens, made.max_query_tokens) == (7, 9)
    two = {"positive_samples": 5, "negative_samples": 2, "plain_samples": 1}
    assert settings(**two, num_generations=8).positive_samples == 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_generations": 8}, "positive_samples=4, negative_samples=2, plain_samples=2"),
        ({"num_generations": 8, "positive_samples": 3}, "it does not say which"),
        ({"num_generations": "many"}, "positive_samples=2"),
        ({"max_completion_length": 7, "max_new_tokens": 7}, "give max_new_tokens alone"),
        ({"beta": 0.1, "max_completion_length": 0}, "objective=DPO(beta=0.1)"),
        ({"steps_per_generation": 8}, "refresh_every"),
    ],
    ids=str,
)
def test_others_are_told_what_to_write(given, words):
    with pytest.raises(InputError, match=re.escape(words)):
        settings(**given)


def test_a_config_of_trl_is_answered_with_ours(model_dir, tmp_path):
    given = of_trl("GRPOConfig")(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, beta=0.04, max_completion_length=64,
        learning_rate=1e-5,
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        NEATTrainer(model_dir, length_reward, given, ["a"])
    call, beta, page = caught.value.fix.splitlines()
    assert call.startswith("give NEATConfig(")
    made = eval(call.removeprefix("give "))  # what it tells to write works
    assert (made.max_new_tokens, made.learning_rate) == (64, 1e-5)
    assert made.output_dir == str(tmp_path)
    assert "DPO(beta=0.1)" in beta
    assert "coming-from-trl" in page


# ---------------------------------------------------------------------------- arguments


def test_a_ref_model_is_the_reference(model_dir, tmp_path, tokenizer, steering, queries):
    other = make_llama(tokenizer, seed=3)
    trainer = NEATTrainer(
        model_dir, length_reward, config(tmp_path), queries, objective="dpo", steering=steering,
        ref_model=other,
    )  # fmt: skip
    assert trainer.reference.kept is other


def test_a_reward_model_reads_its_tokenizer(model_dir, tmp_path, tokenizer, steering, queries):
    reward = make_llama(tokenizer).config
    reward.num_labels, reward.pad_token_id = 1, tokenizer.pad_token_id
    trainer = NEATTrainer(
        model_dir, [LlamaForSequenceClassification(reward), length_reward],
        config(tmp_path, max_steps=1), queries, steering=steering,
        reward_processing_classes=[tokenizer, None],
    )  # fmt: skip
    trainer.train()
    assert trainer.maker.scorers.scorers[0].name == "reward_model"


def test_options_of_a_named_model_are_read(model_dir, tmp_path, steering, queries, monkeypatch):
    seen = []
    load = AutoModelForCausalLM.from_pretrained
    keep = lambda *a, **k: seen.append(k) or load(*a, **k)  # noqa: E731
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", keep)
    options = {"torch_dtype": torch.bfloat16, "attn_implementation": "eager"}
    trainer = NEATTrainer(
        model_dir, length_reward, config(tmp_path, max_steps=1, model_init_kwargs=options),
        queries, steering=steering, peft_config={"r": 2},
    )  # fmt: skip
    assert seen[0]["dtype"] is torch.bfloat16
    base = trainer.model.get_base_model()
    assert base.config._attn_implementation == "eager"
    assert base.model.embed_tokens.weight.dtype is torch.bfloat16
    trainer.train()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device_map": "auto"}, "the trainer places the model"),
        ({"quantization_config": 1}, "with a peft_config"),
        ({"trust_remote_code": True}, "NEAT_TRUST_REMOTE_CODE"),
        ({"revision": "main"}, "a directory has no revisions"),
        ({"dtype": "auto"}, "use one of: float32"),
        ({"dtyp": "float32"}, "did you mean 'dtype'"),
        ({"attn_implementation": 3}, "it is no text"),
        ('{"dtype": "float8"}', "use one of: float32"),
        ("dtype", "it is no mapping"),
    ],
    ids=str,
)
def test_options_that_nothing_would_read(model_dir, tmp_path, options, words):
    with pytest.raises(InputError, match=re.escape(words)):
        NEATTrainer(model_dir, length_reward, config(tmp_path, model_init_kwargs=options), ["a"])


def test_options_of_a_model_that_is_given_whole(tmp_path, tokenizer):
    args = config(tmp_path, model_init_kwargs={"dtype": "float32"})
    with pytest.raises(InputError, match="the model is given whole"):
        NEATTrainer(make_llama(tokenizer), length_reward, args, ["a"], processing_class=tokenizer)
