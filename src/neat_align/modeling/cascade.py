"""Cascade attention for packed rows, on the CPU.

A response's attention over the query and over itself are two blocks. The first needs no
mask and is done for all responses of a group at once; the second is causal attention of
short sequences; both are merged by their log-sum-exps. Nothing is computed that a mask
would throw away, and no [L, L] mask is made.

Registered with transformers as the attention `neat_cascade`. Without a packed layout among
the forward's arguments it is SDPA, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "neat_cascade"

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Segments:
    """Where the parts of one packed row lie.

    Attributes:
        query: columns of the query.
        responses: columns of all responses together, which follow the query.
        padded: [K·T] places of the responses' tokens in a [K, T] grid, -1 for padding.
        place: [R] place in that grid of each response token.
        count, longest: K and T.
    """

    query: slice
    responses: slice
    padded: Tensor
    place: Tensor
    count: int
    longest: int

    @classmethod
    def of(cls, query: slice, lengths: Sequence[int]) -> Segments:
        """The segments of a row: `query`, then responses of these lengths."""
        total, count, longest = sum(lengths), len(lengths), max(lengths)
        place = torch.tensor([k * longest + t for k, n in enumerate(lengths) for t in range(n)])
        padded = torch.full((count * longest,), -1)
        padded[place] = torch.arange(total)
        responses = slice(query.stop, query.stop + total)
        return cls(query, responses, padded, place, count, longest)


def cascade_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segments: Sequence[Segments] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention function; [B, H, L, D] in, [B, L, H, D] out.

    Args:
        segments: one for each row of a packed batch; None: SDPA with `attention_mask`.
    """
    if segments is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    rows = [
        _row(query[i : i + 1], key[i : i + 1], value[i : i + 1], parts, scaling)
        for i, parts in enumerate(segments)
    ]
    return torch.cat(rows).transpose(1, 2).contiguous(), None


def _row(query: Tensor, key: Tensor, value: Tensor, parts: Segments, scale: float | None) -> Tensor:
    """[1, H, L, D]; padding columns are 0."""
    q, k, v = (x[:, :, parts.query] for x in (query, key, value))
    asked = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    own = [x[:, :, parts.responses] for x in (query, key, value)]
    answered = _Responses.apply(*own, k, v, parts, scale)
    before, after = parts.query.start, query.shape[2] - parts.responses.stop
    row = torch.cat([asked, answered], dim=2)
    return torch.nn.functional.pad(row, (0, 0, before, after)) if before or after else row


class _Responses(torch.autograd.Function):
    """Attention of the responses of one row over the query and over themselves.

    The backward runs each block's own backward with the merged output and log-sum-exp: the
    probabilities are exp(scores − log-sum-exp over *both* blocks), so the blocks' gradients
    add up to the exact one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        k0: Tensor,
        v0: Tensor,
        parts: Segments,
        scale: Any,
    ) -> Tensor:
        """q, k, v of the responses [1, H, R, D], k0 and v0 of the query [1, H, P, D]."""
        q, k, v, k0, v0 = (x.contiguous() for x in (q, k, v, k0, v0))
        over_query, lse_query = _flash(q, k0, v0, scale=scale)
        grid = [_to_grid(x, parts) for x in (q, k, v)]
        over_own, lse_own_grid = _flash(*grid, is_causal=True, scale=scale)
        lse_own = _from_grid(lse_own_grid[..., None], parts)[..., 0]
        lse = torch.logaddexp(lse_query, lse_own)
        share = (lse_query - lse).exp()[..., None]
        merged = share * over_query + (1 - share) * _from_grid(over_own, parts)
        merged = merged.to(q.dtype)
        ctx.save_for_backward(q, k, v, k0, v0, merged, lse, lse_own_grid)
        ctx.parts, ctx.scale = parts, scale
        return merged

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, k0, v0, merged, lse, lse_own_grid = ctx.saved_tensors
        parts, scale = ctx.parts, ctx.scale
        gradient = gradients[0].contiguous()
        dq, dk0, dv0 = _flash_backward(gradient, q, k0, v0, merged, lse, 0.0, False, scale=scale)
        grid = [_to_grid(x, parts) for x in (gradient, q, k, v, merged)]
        # Padding has no gradient; its own log-sum-exp keeps its probabilities finite.
        lse_grid = _to_grid(lse[..., None], parts)[..., 0]
        is_token = (parts.padded >= 0).view(parts.count, 1, parts.longest)
        lse_grid = torch.where(is_token, lse_grid, lse_own_grid)
        dq1, dk, dv = _flash_backward(*grid, lse_grid, 0.0, True, scale=scale)
        own = (_from_grid(x, parts) for x in (dk, dv))
        return (dq + _from_grid(dq1, parts), *own, dk0, dv0, None, None)


def _to_grid(x: Tensor, parts: Segments) -> Tensor:
    """[1, H, R, D] → [K, H, T, D], zeros where a response has no token."""
    heads, width = x.shape[1], x.shape[3]
    grid = x.new_zeros(heads, parts.count * parts.longest, width)
    grid[:, parts.place] = x[0]
    return grid.view(heads, parts.count, parts.longest, width).transpose(0, 1).contiguous()


def _from_grid(grid: Tensor, parts: Segments) -> Tensor:
    """[K, H, T, D] → [1, H, R, D]."""
    heads, width = grid.shape[1], grid.shape[3]
    flat = grid.transpose(0, 1).reshape(heads, parts.count * parts.longest, width)
    return flat[None, :, parts.place]


AttentionInterface.register(NAME, cascade_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
