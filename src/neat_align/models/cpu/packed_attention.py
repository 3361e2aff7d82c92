"""Attend over packed rows on the CPU, without a mask of [N, N].

Two forms of the same: `BlockAttention` for long groups, whose products are worth calling
one by one, and `GridAttention` for many short ones, where a call each would cost more than
padding does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

BLOCK = 128
"""Rows of one block: its scores should stay in the cache."""

LATER = torch.full((BLOCK, BLOCK), float("-inf")).triu(1)
"""Added to a block's scores of itself; filling by a mask takes five times as long."""


@dataclass(frozen=True)
class Block:
    """Neighbouring tokens that see the same.

    Attributes:
        rows: the tokens that look.
        keys: what they see, in order. The last tokens of it are `rows` themselves, of which
            each sees none that comes later.
    """

    rows: slice
    keys: tuple[slice, ...]


def group_blocks(start: int, query: int, responses: Sequence[int]) -> list[Block]:
    """Cut a group that begins at column `start` into blocks, its query first."""
    stop = start + query
    blocks = [Block(slice(a, b), (slice(start, b),)) for a, b in _stretches(start, query)]
    for length in responses:
        blocks += [
            Block(slice(a, b), (slice(start, start + query), slice(stop, b)))
            for a, b in _stretches(stop, length)
        ]
        stop += length
    return blocks


@dataclass(frozen=True)
class BlockAttention:
    """Each block over what it sees: products of exact size, nothing computed to be masked."""

    blocks: Sequence[Block]

    def attend(
        self, module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        """Attend; [1, H, N, D] and [1, H_kv, N, D] in, [1, N, H, D] out."""
        return _BlockAttention.apply(query[0], key[0], value[0], self.blocks, scale)[None]


class _BlockAttention(torch.autograd.Function):
    """Keeps q, k and v only; probabilities are computed again in the backward.

    With grouped-query attention the heads that share a key head are further rows of one
    product. Scores are float32 in any dtype, as in fused attention kernels.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, blocks: Sequence[Block], scale: float
    ) -> Tensor:
        """Attend; [H, N, D], [H_kv, N, D] in, [N, H, D] out."""
        q, k, v = (x.contiguous() for x in (q, k, v))
        ctx.save_for_backward(q, k, v)
        ctx.blocks, ctx.scale = blocks, scale
        heads, count, width = q.shape
        out = q.new_empty(count, heads, width)
        for block in blocks:
            probabilities, _, _ = _probabilities(q, k, block, scale)
            seen = probabilities @ _take(v, block.keys)
            out[block.rows] = seen.view(heads, -1, width).transpose(0, 1)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        q, k, v = ctx.saved_tensors
        heads, _, width = q.shape
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for block in ctx.blocks:
            probabilities, queries, keys = _probabilities(q, k, block, ctx.scale)
            gradient = gradients[0][block.rows].transpose(0, 1).reshape(queries.shape)
            d_probabilities = gradient @ _take(v, block.keys).mT
            d_scores = torch.ops.aten._softmax_backward_data(
                d_probabilities, probabilities, -1, probabilities.dtype
            )
            dq[:, block.rows] = (d_scores @ keys).mul_(ctx.scale).view(heads, -1, width)
            _add(dk, block.keys, d_scores.mT @ queries)
            _add(dv, block.keys, probabilities.mT @ gradient)
        return dq, dk, dv, None, None


def _probabilities(
    q: Tensor, k: Tensor, block: Block, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute one block's probabilities [H_kv, rows, keys], scaled queries and keys.

    Its rows are those of all heads that share a key head.
    """
    key_heads, width = k.shape[0], k.shape[2]
    queries = (q[:, block.rows] * scale).reshape(key_heads, -1, width)
    keys = _take(k, block.keys)
    scores = queries.float() @ keys.float().mT
    count = block.rows.stop - block.rows.start
    own = scores.view(key_heads, -1, count, scores.shape[-1])[..., -count:]
    own.add_(LATER[:count, :count])
    return scores.softmax(-1).to(q.dtype), queries, keys


def _take(x: Tensor, keys: Sequence[slice]) -> Tensor:
    parts = [x[:, part] for part in keys]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _add(x: Tensor, keys: Sequence[slice], values: Tensor) -> None:
    start = 0
    for part in keys:
        length = part.stop - part.start
        x[:, part] += values[:, start : start + length]
        start += length


def _stretches(start: int, length: int) -> list[tuple[int, int]]:
    """List (start, stop) of pieces of at most `BLOCK` tokens."""
    return [(a, min(a + BLOCK, start + length)) for a in range(start, start + length, BLOCK)]


@dataclass(frozen=True)
class GridAttention:
    """All groups at once, each padded to the longest, for the attention alone.

    Attributes:
        sizes: tokens of each group, in the order of the row.
        mask: [G, 1, L, L] float, L the longest size: 0 where a token may look.
    """

    sizes: Sequence[int]
    mask: Tensor

    def attend(
        self, module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> Tensor:
        """Attend; [1, H, N, D] and [1, H_kv, N, D] in, [1, N, H, D] out."""
        shared = query.shape[1] // key.shape[1]
        if shared > 1:
            key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
        q, k, v = (self._grid(x) for x in (query, key, value))
        out = scaled_dot_product_attention(q, k, v, self.mask.to(q.dtype), scale=scale)
        rows = out.transpose(1, 2)
        return torch.cat([rows[i, :size] for i, size in enumerate(self.sizes)])[None]

    def _grid(self, x: Tensor) -> Tensor:
        """Turn [1, H, N, D] into [G, H, L, D], zeros after a group's end."""
        groups = x[0].transpose(0, 1).split(list(self.sizes))
        return pad_sequence(list(groups), batch_first=True).transpose(1, 2)


def starts(sizes: Sequence[int]) -> list[int]:
    """List the columns at which the groups begin."""
    return [0, *accumulate(sizes)][:-1]
