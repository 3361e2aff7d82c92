"""Models of other families: what padding, caches and their own settings must not change."""

import pytest
import torch
from tests.families import SIZES, make
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from neat_align.errors import ModelError
from neat_align.evaluation.local import evaluated_model
from neat_align.models.layout.packable import prepare_for_packing
from neat_align.models.padding import padding_problems
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding
from neat_align.sampling.copied_prompts import can_copy
from neat_align.sampling.local import TransformersSampler
from neat_align.training.dropout import disable_dropout, has_dropout, restore_config

HYBRID = {
    "mamba": {},
    "falcon_mamba": {},
    "jamba": {"num_experts": 2, "num_experts_per_tok": 1}
    | {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "falcon_h1": {"head_dim": 8, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8}
    | {"mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8},
    "minimax": {"num_local_experts": 2, "head_dim": 8},
    "lfm2": {},
    "rwkv": {},
}


def small(family, **options):
    config = AutoConfig.for_model(family, **{**SIZES, **options})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("family", ["rwkv", "recurrent_gemma", "bert"])
def test_a_model_that_reads_padding_or_looks_ahead_is_refused(family, tokenizer):
    model = small(family, vocab_size=len(tokenizer))
    with pytest.raises(ModelError, match=f"family {family}"):
        evaluated_model(model, tokenizer, "odd")


@pytest.mark.parametrize("family", ["mamba", "jamba", "minimax", "lfm2", "gpt_bigcode", "bloom"])
def test_a_model_that_heeds_the_mask_is_not(family):
    assert not padding_problems(small(family, **HYBRID.get(family, {})))


@pytest.mark.parametrize("family", HYBRID)
def test_a_hybrid_model_draws_what_a_forward_pass_says(family, tokenizer):
    """Greedy tokens, each compared with a pass over the whole text without any cache."""
    model = small(family, **HYBRID[family], vocab_size=len(tokenizer))
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    prompts = [[5, 9, 17, 33], [8, 6], [8, 6]]
    drawn = sampler._draw(prompts, [0, 1, 2], Decoding(5, temperature=0.0))
    for prompt, ids in zip(prompts, drawn):
        for place in range(len(ids)):
            text = torch.tensor([prompt + ids[:place]])
            with torch.no_grad():
                logits = model(input_ids=text, use_cache=False).logits[0, -1]
            assert logits.argmax() == ids[place]


def test_a_model_that_cannot_generate_is_named(tokenizer):
    model = small("jamba", **{**HYBRID["jamba"], "attn_layer_period": 9, "attn_layer_offset": 8})
    with pytest.raises(ModelError, match=r"jamba(.|\n)*get_seq_length"):
        TransformersSampler(model, PromptFormat(tokenizer))._draw([[5, 9]], [0], Decoding(3))


def test_a_cache_of_its_own_is_found_out():
    assert not can_copy(small("minimax", **HYBRID["minimax"]))
    assert can_copy(small("bloom"))


@pytest.mark.parametrize("family", ["mamba", "llama", "bloom"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_settings_of_the_model_change_no_draw(family, temperature, tokenizer):
    """Neither those of a model that draws by `generate`, nor of the two others."""
    model = small(family, vocab_size=len(tokenizer))
    prepare_for_packing(model)
    sampler = TransformersSampler(model, PromptFormat(tokenizer))
    asked = [[5, 9, 17, 33], [8, 6]], [0, 1], Decoding(8, temperature)
    expected = sampler._draw(*asked)
    own = GenerationConfig(
        do_sample=True, temperature=0.1, top_k=1, top_p=0.5, min_p=0.9, typical_p=0.2,
        repetition_penalty=9.0, no_repeat_ngram_size=1, num_beams=3, min_length=20,
        bad_words_ids=[[expected[0][0]]], suppress_tokens=[expected[1][0]],
        begin_suppress_tokens=[expected[0][0]], forced_eos_token_id=7, max_length=3,
        eos_token_id=tokenizer.eos_token_id, renormalize_logits=True, epsilon_cutoff=0.5,
    )  # fmt: skip
    model.generation_config = own
    assert sampler._draw(*asked) == expected
    assert model.generation_config is own


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("gpt2", {"attn_pdrop": 0.3, "embd_pdrop": 0.3, "resid_pdrop": 0.3}),
        ("llama", {"attention_dropout": 0.5}),
        ("opt", {"dropout": 0.4, "attention_dropout": 0.4, "layerdrop": 0.9, "ffn_dim": 32}),
        ("gpt_neox", {"attention_dropout": 0.4, "hidden_dropout": 0.4}),
        ("bloom", {"attention_dropout": 0.4, "hidden_dropout": 0.4}),
    ],
    ids=str,
)
def test_no_kind_of_dropout_is_left(family, options):
    model = make(family, **options, attn_implementation="eager").train()
    ids = torch.arange(3, 15)[None]
    assert has_dropout(model)
    before = disable_dropout(model)
    assert not has_dropout(model)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    assert torch.equal(model(input_ids=ids).logits, model.eval()(input_ids=ids).logits)
    restore_config(model, before)
    for name, value in options.items():
        assert getattr(model.config, name) == value
