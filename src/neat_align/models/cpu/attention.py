"""Register our attention function, which transformers calls.

Registered as the attention `neat`. A forward that carries a `layout` among its arguments is
computed by that layout (`packed_attention`, `sampling.shared_prompts`); any other one is
SDPA, bit for bit.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "neat"


class AttentionLayout(Protocol):
    """Who may look at what in one forward pass, and how that is computed."""

    def attend(
        self, module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        """Attend; [B, H, L, D] and, for key and value, [B, H_kv, L, D] in; [B, L, H, D] out."""
        ...


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    layout: AttentionLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention functions do; [B, H, L, D] in, [B, L, H, D] out."""
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return layout.attend(module, query, key, value, scale), None


def has_our_attention(model: Any) -> bool:
    """Tell whether a model, or what a wrapper such as DDP wraps, was given this attention."""
    config = getattr(model, "module", model).config.get_text_config()
    return bool(config._attn_implementation == NAME)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
