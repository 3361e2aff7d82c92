"""The packed layout computes what one row per response computes: values and gradients."""

import logging

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.families import make

from neat_align.models import load_causal_lm
from neat_align.models.cpu.attention import NAME
from neat_align.models.cpu.packed_attention import BlockAttention, GridAttention
from neat_align.models.layout import Padded, layout_of
from neat_align.models.layout.base import token_logps
from neat_align.models.layout.packable import (
    PACKABLE,
    can_pack,
    prepare_for_packing,
    say_padded,
)
from neat_align.models.layout.packed import packed_rows
from neat_align.models.layout.padded import padded_rows
from neat_align.models.tokenized import TokenizedGroup
from neat_align.types import Source


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
    weights = torch.linspace(-1, 1, logps.numel()).view_as(logps)
    (logps * weights).sum().backward()
    return logps.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def assert_equal(model, packed, padded):
    expected, expected_gradients = logps_and_gradients(model, padded)
    found, gradients = logps_and_gradients(model, packed)
    assert packed.input_ids.shape[0] == 1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        scale = expected_gradients[name].norm().clamp(min=1e-6)
        assert (gradient - expected_gradients[name]).norm() / scale < 1e-5, name


def assert_equivalent(model, groups, pad_id=0):
    assert can_pack(model, groups)
    assert_equal(model, layout_of(model, pad_id).rows(groups), padded_rows(groups, pad_id))


@pytest.mark.parametrize("family", PACKABLE)
@pytest.mark.parametrize("attention", ["sdpa", "eager", NAME])
def test_packed_equals_padded(family, attention):
    model = make(family)
    model.set_attn_implementation(attention)
    for seed in range(3):
        assert_equivalent(model, ragged_groups(seed))


@pytest.mark.parametrize("family", PACKABLE)
def test_long_groups_in_blocks(family):
    model = make(family)
    prepare_for_packing(model)
    for sizes in ((5,), (3, 1, 16)):
        groups = ragged_groups(3, sizes, longest_query=300, longest_response=150)
        assert isinstance(layout_of(model, 0).rows(groups).attention, BlockAttention)
        assert_equivalent(model, groups)
    assert isinstance(layout_of(model, 0).rows(ragged_groups(0)).attention, GridAttention)


@pytest.mark.parametrize("size", [1, 2, 16])
@pytest.mark.parametrize("longest_query", [1, 128, 129, 400])
def test_any_number_of_responses_and_any_length_of_query(size, longest_query):
    model = make("llama")
    prepare_for_packing(model)
    query = list(range(1, 41)) * 10
    groups = [
        TokenizedGroup(query[:longest_query], g.response_ids, g.scores, g.sources)
        for g in ragged_groups(1, (size, size))
    ]
    assert_equivalent(model, groups, pad_id=7)


@pytest.mark.parametrize("query", [3, 300])
def test_responses_without_a_token(query):
    model = make("qwen2")
    prepare_for_packing(model)
    groups = [
        TokenizedGroup((list(range(1, 41)) * 8)[:query], [[], [3, 4], []], [0.0] * 3, []),
        TokenizedGroup([6, 7], [[], []], [0.0] * 2, []),
    ]
    assert_equivalent(model, groups)
    assert packed_rows(groups).ends_at.tolist() == [
        query - 1,
        query + 1,
        query - 1,
        query + 3,
        query + 3,
    ]


def test_without_a_layout_our_attention_is_sdpa():
    model = make("qwen2")
    batch = padded_rows(ragged_groups(5), 0)
    expected = token_logps(model, batch)
    model.set_attn_implementation(NAME)
    assert torch.equal(token_logps(model, batch), expected)


def test_loaded_models_have_our_attention_and_what_they_save_says_nothing_of_it(
    model_dir, tmp_path
):
    model = load_causal_lm(model_dir)
    assert model.config._attn_implementation == NAME
    model.save_pretrained(tmp_path / "saved")
    assert NAME not in (tmp_path / "saved" / "config.json").read_text()


@pytest.mark.parametrize("reentrant", [True, False])
def test_with_an_adapter_and_with_activation_checkpointing(reentrant):
    model = make("qwen3")
    prepare_for_packing(model)
    model = get_peft_model(model, LoraConfig(target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.get_base_model().activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    model.train()
    assert_equivalent(model, ragged_groups(2))
    assert_equivalent(model, ragged_groups(2, longest_query=300, longest_response=90))


def test_the_logits_that_are_computed_are_those_that_predict_something():
    model = make("llama")
    seen = []
    model.lm_head.register_forward_hook(lambda *args: seen.append(args[-1].shape))
    groups = ragged_groups(0)
    token_logps(model, layout_of(model, 0).rows(groups))
    tokens = sum(len(r) for g in groups for r in g.response_ids)
    duplicates = sum(len(g.response_ids) - 1 for g in groups)
    assert seen == [(1, tokens - duplicates, 50)]


@pytest.mark.parametrize("family", ["mistral", "gemma3_text", "phi3"])
def test_a_sliding_window_packs_what_is_within_it(family, caplog):
    model = make(family, sliding_window=10)
    prepare_for_packing(model)
    short = ragged_groups(0, longest_query=5, longest_response=5)
    assert_equivalent(model, short)
    say_padded.cache_clear()
    with caplog.at_level(logging.WARNING):
        long = layout_of(model, 0).rows(ragged_groups(0, longest_query=30))
        layout_of(model, 0).rows(ragged_groups(0, longest_query=30))
    assert len(long.input_ids) == 12  # a row for each response
    (message,) = caplog.messages
    assert "sliding window" in message
    # What packing would have computed is something else, so the refusal has a reason.
    packed = token_logps(model, packed_rows(ragged_groups(0, longest_query=30)))
    assert not torch.allclose(packed, token_logps(model, long), atol=1e-4)


def test_other_models_are_refused_by_name_and_stay_padded(caplog):
    say_padded.cache_clear()
    model = make("mamba", num_attention_heads=None)
    with caplog.at_level(logging.WARNING):
        prepare_for_packing(model)
    assert "mamba" in caplog.text
    assert not can_pack(model)
    assert len(layout_of(model, 0).rows(ragged_groups(0)).input_ids) == 12
    for family, option in (
        ("gpt2", {"reorder_and_upcast_attn": True}),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}),
        ("gemma3_text", {"use_bidirectional_attention": True}),
    ):
        assert not can_pack(make(family, **option))


def test_attention_dropout_is_left_to_sdpa():
    model = make("gpt2", attn_pdrop=0.1)
    prepare_for_packing(model)
    batch = layout_of(model, 0).rows(ragged_groups(0))
    assert batch.attention is None
    model.train()
    assert not torch.equal(token_logps(model, batch), token_logps(model, batch))


def test_passes_stay_within_the_budget_and_lose_nothing():
    model = make("llama")
    groups = ragged_groups(0, (4, 1, 7, 3, 9))
    layout = layout_of(model, 0, 60)
    parts = list(layout.passes(groups))
    assert [g for part in parts for g in part] == groups
    assert all(layout.tokens(part) <= 60 or len(part) == 1 for part in parts)
    assert len(parts) > 1
    layout = layout_of(model, 0, 25)
    pieces = layout.split(groups[-1])
    assert [r for piece in pieces for r in piece.response_ids] == groups[-1].response_ids
    assert all(layout.tokens([p]) <= 25 or len(p.response_ids) == 1 for p in pieces)
    assert len(pieces) > 1


def test_a_padded_layout_counts_its_padding():
    model = make("mamba", num_attention_heads=None)
    group = TokenizedGroup([5, 6], [[7], [8, 9, 10]], [0.0] * 2, [])
    layout = layout_of(model, 0, 5)
    assert isinstance(layout, Padded)
    assert layout.tokens([group]) == 10
    assert len(layout.split(group)) == 2
