"""The packed layout computes what one row a response computes: values and gradients."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from neat_align.modeling import load_causal_lm
from neat_align.modeling.cascade import NAME as CASCADE
from neat_align.modeling.logprobs import token_logps
from neat_align.modeling.packing import CASCADE_FROM, can_pack, lay_out
from neat_align.modeling.tokenized import TokenizedGroup, padded_batch
from neat_align.types import Source

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
}
FAMILIES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
}


def ragged_groups(seed, sizes=(4, 1, 7), longest_query=9, longest_response=8):
    rng = torch.Generator().manual_seed(seed)

    def ids(longest):
        count = int(torch.randint(1, longest + 1, (1,), generator=rng))
        return torch.randint(1, 50, (count,), generator=rng).tolist()

    return [
        TokenizedGroup(
            ids(longest_query),
            [ids(longest_response) for _ in range(size)],
            [0.0] * size,
            [Source.PLAIN] * size,
        )
        for size in sizes
    ]


def logps_and_gradients(model, batch):
    model.zero_grad()
    logps = token_logps(model, batch)
    # Uneven weights, so that no two tokens' gradients could stand in for each other.
    weights = torch.linspace(0.1, 2.0, logps.numel()).view(logps.shape)
    (logps * weights).sum().backward()
    return logps.detach(), {
        n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
    }


def assert_equivalent(model, groups, pad_id=0):
    assert can_pack(model)
    expected, expected_gradients = logps_and_gradients(model, padded_batch(groups, pad_id))
    found, gradients = logps_and_gradients(model, lay_out(model, groups, pad_id))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        scale = float(expected_gradients[name].abs().max())
        distance = float((gradient - expected_gradients[name]).abs().max())
        assert distance <= 1e-5 * max(scale, 1e-3), f"{name}: {distance} of {scale}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_equals_padded(family, attention):
    torch.manual_seed(0)
    model = FAMILIES[family]()
    model.set_attn_implementation(attention)
    for seed in range(3):
        assert_equivalent(model, ragged_groups(seed))


@pytest.mark.parametrize("size", [1, 2, 16])
@pytest.mark.parametrize("longest_query", [1, 200])
def test_any_number_of_responses_and_any_length_of_query(size, longest_query):
    torch.manual_seed(0)
    groups = ragged_groups(1, (size, size), longest_query)
    assert_equivalent(FAMILIES["llama"](), groups, pad_id=7)


@pytest.mark.parametrize("family", FAMILIES)
def test_cascade_attention_in_long_rows(family):
    torch.manual_seed(0)
    model = FAMILIES[family]()
    model.set_attn_implementation(CASCADE)
    for sizes in ((5,), (3, 1, 16)):
        groups = ragged_groups(3, sizes, longest_query=300, longest_response=40)
        batch = lay_out(model, groups, 0)
        assert ("segments" in batch) == (batch["input_ids"].shape[1] >= CASCADE_FROM)
        assert_equivalent(model, groups)
    longest = TokenizedGroup(list(range(1, 40)) * 6, [[5], [6, 7], [8] * 30], [0.0] * 3, [])
    assert "segments" in lay_out(model, [longest], 0)
    assert_equivalent(model, [longest, *ragged_groups(4, (2,))])


def test_cascade_attention_is_sdpa_without_a_packed_row():
    torch.manual_seed(0)
    model = FAMILIES["qwen2"]()
    batch = padded_batch(ragged_groups(5), 0)
    expected = token_logps(model, batch)
    model.set_attn_implementation(CASCADE)
    assert torch.equal(token_logps(model, batch), expected)


def test_loaded_models_cascade_and_what_they_save_says_nothing_of_it(model_dir, tmp_path):
    model = load_causal_lm(model_dir)
    assert model.config._attn_implementation == CASCADE
    model.save_pretrained(tmp_path / "saved")
    assert CASCADE not in (tmp_path / "saved" / "config.json").read_text()


def test_with_an_adapter_and_with_activation_checkpointing():
    torch.manual_seed(0)
    model = get_peft_model(FAMILIES["qwen3"](), LoraConfig(target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.get_base_model().activation_checkpointing_enable()
    model.train()
    assert_equivalent(model, ragged_groups(2))


def test_models_whose_attention_does_not_take_the_mask_stay_padded():
    assert not can_pack(GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)))
    sliding = Qwen2Config(**SIZES, use_sliding_window=True, max_window_layers=0, sliding_window=4)
    assert not can_pack(Qwen2ForCausalLM(sliding))
