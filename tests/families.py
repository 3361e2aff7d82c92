"""Tiny random models of the families that transformers knows."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OWN = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "attn_pdrop": 0.0}
    | {"embd_pdrop": 0.0, "resid_pdrop": 0.0},
    "gemma3_text": {
        "head_dim": 8,
        "sliding_window": 512,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    **{family: {"head_dim": 8} for family in ("qwen3", "gemma", "mistral")},
}


def make(family, **options):
    config = AutoConfig.for_model(family, **{**SIZES, **OWN.get(family, {}), **options})
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)
