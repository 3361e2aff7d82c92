"""GGUF files: loaded like any model, saved as an ordinary one, refused before they are loaded."""

import json

import pytest
import torch
from tests.conftest import make_llama
from tests.gguf_file import write_gguf
from transformers import AutoModelForCausalLM

from neat_align import NEATConfig, NEATTrainer
from neat_align.errors import ModelError, RewardError
from neat_align.models import check_model_source, load_causal_lm, load_tokenizer
from neat_align.models.source import adapter_base
from neat_align.prompts.chat.chat_template import saved_template_problems
from neat_align.provenance import Source
from neat_align.recipe import recipe_from
from neat_align.recipe.check import check_recipe

SIZES = {"hidden_size": 64, "intermediate_size": 96, "tie_word_embeddings": True}


@pytest.fixture(scope="module")
def original(tokenizer):
    return make_llama(tokenizer, **SIZES)


@pytest.fixture(scope="module")
def written(tmp_path_factory, original, tokenizer):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "small.gguf", original, tokenizer)


@pytest.fixture
def broken(tmp_path, written):
    """Return a function that writes a file with these bytes."""

    def write(change):
        path = tmp_path / "broken.gguf"
        path.write_bytes(change(written.read_bytes()))
        return path

    return write


def logits(model):
    with torch.no_grad():
        return model(torch.arange(20)[None] + 50).logits


@pytest.mark.parametrize("directory", [False, True])
def test_a_file_is_loaded_and_saved_as_an_ordinary_model(
    written, original, tokenizer, tmp_path, directory
):
    source = written.parent if directory else written
    assert check_model_source(source, "policy") == []
    found, read = load_causal_lm(source), load_tokenizer(source)
    assert found.dtype == torch.float32, "the file's own is float16"
    assert (logits(found) - logits(original)).abs().max() < 0.02
    assert found.get_output_embeddings().weight is found.get_input_embeddings().weight
    assert not getattr(found, "is_quantized", False)
    assert read.chat_template == tokenizer.chat_template
    assert len(read) == len(tokenizer), "transformers adds one that the model does not know"
    assert read("how do I polish")["input_ids"] == tokenizer("how do I polish")["input_ids"]
    found.save_pretrained(tmp_path)
    read.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert "quantization_config" not in config
    assert check_model_source(tmp_path, "policy") == []
    assert torch.equal(logits(load_causal_lm(tmp_path)), logits(found))
    assert load_tokenizer(tmp_path).eos_token == tokenizer.eos_token


def test_the_file_that_is_named_is_the_one_that_is_loaded(
    written, tokenizer, tmp_path, monkeypatch, original
):
    other = make_llama(tokenizer, seed=9, **SIZES)
    write_gguf(tmp_path / written.name, other, tokenizer)
    monkeypatch.chdir(tmp_path)  # where one of the same name lies
    assert (logits(load_causal_lm(written)) - logits(original)).abs().max() < 0.02


def test_weights_of_8_bits_in_a_dtype_that_is_asked_for(tmp_path, original, tokenizer):
    path = write_gguf(tmp_path / "q8.gguf", original, tokenizer, kind="Q8_0")
    found = load_causal_lm(path, "bfloat16")
    assert {p.dtype for p in found.parameters()} == {torch.bfloat16}


def test_an_adapter_names_the_file_as_its_base(written, tmp_path, queries, steering):
    from peft import LoraConfig

    trainer = NEATTrainer(
        str(written),
        "polarity",
        NEATConfig(output_dir=str(tmp_path), max_steps=1, max_new_tokens=4, report_to="none",
                   per_device_train_batch_size=1, use_cpu=True, steering_force=True),
        queries,
        steering=steering,
        peft_config=LoraConfig(r=2, target_modules="all-linear"),
    )  # fmt: skip
    trainer.save_model(str(tmp_path / "adapter"))
    assert adapter_base(tmp_path / "adapter") == str(written)
    assert check_model_source(tmp_path / "adapter", "policy") == []
    load_causal_lm(tmp_path / "adapter")


def test_a_model_that_the_user_loaded_so_is_told_how_to(written, tmp_path, queries, steering):
    theirs = AutoModelForCausalLM.from_pretrained(written.parent, gguf_file=str(written))
    with pytest.raises(ModelError, match="file's path"):
        NEATTrainer(theirs, "polarity", NEATConfig(output_dir=str(tmp_path)), queries,
                    steering=steering)  # fmt: skip


def test_a_recipe_names_one_and_takes_its_content(written, tmp_path):
    recipe = recipe_from(
        {
            "model": {"path": str(written.parent), "chat_template_kwargs": {"thinking": True}},
            "queries": {"world": "train", "limit": 4},
            "steering": "harmless",
            "reward": "polarity",
        }
    )
    assert check_recipe(recipe) == []
    assert saved_template_problems(written.parent, {"thinking": True}) == []
    (content,) = Source("model", str(written)).content().values()
    assert content.startswith("sha256:")
    assert Source("model", str(written.parent)).content() == {written.name: content}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda b: b[:-1000], "cut short: "),
        (lambda b: b[:3000], "cut short in its header"),
        (lambda b: b[:10], "cut short in its header"),
        (lambda b: b"", "is empty"),
        (lambda b: b"<html>", "no GGUF file"),
        (lambda b: b"version https://git-lfs.example/spec/v1", "pointer"),
        (lambda b: b[:4] + b"\0\0\0\3" + b[8:], "version 50331648"),
        (lambda b: b[:8] + b"\xff" * 8 + b[16:], "cannot be read"),
        (lambda b: b[:24] + b"\xff" * 7 + b[31:], "cannot be read"),
        (lambda b: b.replace(b"general.architecture", b"general.architectur\xff"), "be read"),
    ],
)
def test_a_file_that_is_no_whole_one(broken, change, why):
    path = broken(change)
    (problem,) = check_model_source(path, "policy")
    assert why in problem.why
    with pytest.raises(ModelError, match=r"\.gguf"):
        load_causal_lm(path)


@pytest.mark.parametrize(
    ("options", "role", "why"),
    [
        ({"architecture": "rwkv7"}, "policy", "architecture 'rwkv7'"),
        ({"architecture": "t5"}, "policy", "encoder-decoder"),
        ({}, "reward", "head that scores"),
        ({"split__count": 3}, "policy", "one of 3 files"),
    ],
)
def test_a_model_that_cannot_be_used(tmp_path, original, tokenizer, options, role, why):
    path = write_gguf(tmp_path / "x.gguf", original, tokenizer, **options)
    (problem,) = check_model_source(path, role)
    assert why in problem.why
    assert isinstance(problem, RewardError) == (role == "reward")


def test_types_of_weights_that_nobody_reads(broken):
    def as_types(*numbers):
        def change(content):
            for number, name in zip(numbers, (b"blk.0.attn_q.weight", b"blk.1.attn_q.weight")):
                at = content.index(name) + len(name) + 4 + 16
                content = content[:at] + number.to_bytes(4, "little") + content[at + 4 :]
            return content

        return change

    (problem,) = check_model_source(broken(as_types(15, 250)), "policy")
    assert "Q8_K, type 250, which is not read" in problem.why


def test_directories_of_files(tmp_path, written, model_dir):
    for name in ("a.gguf", "b.GGUF"):
        (tmp_path / name).write_bytes(written.read_bytes())
    (problem,) = check_model_source(tmp_path, "policy")
    assert "2 GGUF files (a.gguf, b.GGUF)" in problem.why
    (model_dir / "a.gguf").write_bytes(b"beside an ordinary model")
    assert check_model_source(model_dir, "policy") == []
    assert "no such file" in check_model_source("owner/x.gguf", "policy")[0].why


def test_a_reward_model_can_be_made_from_one(written):
    from transformers import AutoModelForSequenceClassification

    from neat_align.models import load_weights

    head = {"num_labels": 1, "may_lack": ("score",), "may_exceed": ("lm_head",)}
    found = load_weights(AutoModelForSequenceClassification, written, **head)
    assert found.score.weight.shape == (1, 64)
    assert found.score.weight.isfinite().all()
