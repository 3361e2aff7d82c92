"""Model directories as users have them after a bad copy: refused by name, before anything runs."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import make_llama, make_tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification

from neat_align.errors import InputError, ModelError
from neat_align.models import check_model_source, load_causal_lm, load_tokenizer
from neat_align.models.fit import vocabulary_problems
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.local import TransformersSampler
from neat_align.scoring import check_scorer_value, resolve_scorer
from neat_align.types import Source

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"


def weights(folder):
    return folder / "model.safetensors"


def pointer(folder):
    weights(folder).write_text(POINTER)


def empty(folder):
    weights(folder).write_bytes(b"")


def cut(folder):
    weights(folder).write_bytes(weights(folder).read_bytes()[:-100])


def cut_in_its_header(folder):
    weights(folder).write_bytes(weights(folder).read_bytes()[:50])


def a_page_of_html(folder):
    weights(folder).write_text("<html><body>404: not found</body></html>" * 9)


def no_weights_in_it(folder):
    save_file({}, weights(folder))


def a_missing_shard(folder):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    weights(folder).unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def a_broken_index(folder):
    a_missing_shard(folder)
    (folder / "model.safetensors.index.json").write_text("{")


def pickled(folder):
    weights(folder).rename(folder / "pytorch_model.bin")


def nothing(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("a model")


def config(folder, **changes):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))


def quantised(folder):
    config(folder, quantization_config={"quant_method": "gptq", "bits": 4})


def quantised_on_the_fly(folder):
    config(folder, quantization_config={"load_in_4bit": True})


def quantised_somehow(folder):
    config(folder, quantization_config={"quant_method": "mine"})


def an_encoder_decoder(folder):
    config(folder, architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True)


def an_encoder(folder):
    config(folder, architectures=["BertForMaskedLM"], model_type="bert")


def a_bare_body(folder):
    config(folder, architectures=["LlamaModel"])


def reads_images(folder):
    config(folder, architectures=["LlavaForConditionalGeneration"], vision_config={})


def a_classifier(folder):
    config(folder, architectures=["LlamaForSequenceClassification"])


def no_json(folder):
    (folder / "config.json").write_text("model_type: llama")


def a_list(folder):
    (folder / "config.json").write_text("[]")


def an_architecture_that_is_no_list(folder):
    config(folder, architectures="LlamaModel")


def of_no_kind(folder):
    (folder / "config.json").write_text('{"hidden_size": 32}')


EARLY = {
    pointer: "git lfs pull", empty: "is empty", cut: "cut short", cut_in_its_header: "cut short",
    a_page_of_html: "no safetensors", no_weights_in_it: "no weights", a_missing_shard: "1 of 1",
    a_broken_index: "no index", pickled: "pytorch_model.bin", nothing: "directory is empty",
    a_file: "it is a file", quantised: "gptqmodel", quantised_on_the_fly: "bitsandbytes",
    quantised_somehow: "mine", an_encoder_decoder: "encoder-decoder", an_encoder: "no head",
    a_bare_body: "no head", reads_images: "images", a_classifier: "classifier",
    no_json: "not JSON", a_list: "no settings", of_no_kind: "model_type",
    an_architecture_that_is_no_list: "LlamaModel has no head",
}  # fmt: skip


@pytest.mark.parametrize("damage", EARLY, ids=lambda f: f.__name__)
def test_what_files_tell_is_told_without_loading(model_dir, damage, monkeypatch):
    assert not check_model_source(model_dir, "policy")
    damage(model_dir)
    (problem,) = check_model_source(model_dir, "policy")
    assert EARLY[damage] in str(problem)
    assert isinstance(problem, InputError)
    with pytest.raises(ModelError):
        load_causal_lm(model_dir)


def test_a_language_model_is_no_reward_model(model_dir):
    (problem,) = check_scorer_value(str(model_dir))
    assert "random weights" in str(problem)
    config(model_dir, architectures=["LlamaForSequenceClassification"])
    (problem,) = check_scorer_value(str(model_dir))
    assert "has 2" in str(problem)
    assert not check_scorer_value(f"self_contrast={model_dir}")


def missing(tensors):
    del tensors["model.layers.1.mlp.up_proj.weight"]


def left_over(tensors):
    tensors["model.layers.2.mlp.up_proj.weight"] = torch.zeros(48, 32)


def of_another_shape(tensors):
    tensors["model.norm.weight"] = torch.zeros(7)


@pytest.mark.parametrize("damage", [missing, left_over, of_another_shape], ids=lambda f: f.__name__)
@pytest.mark.parametrize("as_reward", [False, True])
def test_weights_that_do_not_fit_are_not_drawn_at_random(model_dir, tokenizer, damage, as_reward):
    if as_reward:
        settings = AutoConfig.from_pretrained(model_dir, num_labels=1)
        AutoModelForSequenceClassification.from_config(settings).save_pretrained(model_dir)
    tensors = load_file(weights(model_dir))
    damage(tensors)
    save_file(tensors, weights(model_dir), metadata={"format": "pt"})
    name = "model.norm" if damage is of_another_shape else "up_proj"
    with pytest.raises(ModelError, match=name):
        (resolve_scorer if as_reward else load_causal_lm)(str(model_dir))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pad_token_id": 99999}, "Padding_idx"),
        ({"num_attention_heads": 3}, "hidden size (32) is not a multiple"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"hidden_act": "silly"}, "unknown or missing name: 'silly'"),
    ],
)
def test_a_wrong_config_is_not_blamed_on_the_tokenizer(model_dir, changes, told):
    config(model_dir, **changes)
    load = (
        load_causal_lm if "hidden_act" in changes or "pad_token_id" in changes else load_tokenizer
    )
    with pytest.raises(ModelError) as caught:
        load(model_dir)
    assert told in caught.value.why
    assert "tokenizer" not in caught.value.given + caught.value.fix


def not_a_number(tensors):
    tensors["model.norm.weight"][:] = float("nan")


def test_what_is_no_number_is_not_drawn_from(model_dir, queries):
    tensors = load_file(weights(model_dir))
    not_a_number(tensors)
    save_file(tensors, weights(model_dir), metadata={"format": "pt"})
    sampler = TransformersSampler(
        load_causal_lm(model_dir), PromptFormat(load_tokenizer(model_dir))
    )
    for temperature in (0.0, 1.0):
        with pytest.raises(ModelError, match="not a number"):
            sampler.sample(
                [SamplingRequest(queries[0], Source.PLAIN, "", 0)], Decoding(3, temperature)
            )


@pytest.mark.parametrize("changes", [{"hidden_size": "wide"}, {"model_type": "lama"}, {"rope": 1}])
def test_a_config_that_makes_no_model(model_dir, changes):
    config(model_dir, **changes)
    if "rope" in changes:  # a key that nobody reads is none of our business
        load_causal_lm(model_dir)
        return
    with pytest.raises(ModelError):
        load_causal_lm(model_dir)


def test_a_vocabulary_that_its_model_has_no_embeddings_for(tokenizer):
    model = make_llama(tokenizer)
    assert not vocabulary_problems(model, tokenizer)
    larger = make_tokenizer()
    larger.add_special_tokens({"additional_special_tokens": ["<|unused|>"]})
    assert not vocabulary_problems(model, larger)
    larger.add_tokens(["kettles"])
    (problem,) = vocabulary_problems(model, larger)
    assert "kettles" in str(problem)
    ended = make_tokenizer()
    ended.add_special_tokens({"eos_token": "<|over|>"})
    (problem,) = vocabulary_problems(model, ended)
    assert "<|over|>" in str(problem)
