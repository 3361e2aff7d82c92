"""The packed layout: all groups in one row, each query once instead of K times.

    the row:        [ query | y_1 | y_2 | … | y_K ][ query | y_1 | … ]
    position_ids:     0…n-1   n…    n…        n…     0…n-1   n…

A response sees its query and its own earlier tokens, never another response or group, and
its positions go on from the query's: the log-probs are those of separate rows. No token of
the row is padding, and only the positions that predict something reach the LM head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neat_align.models.cpu.attention import AttentionLayout
from neat_align.models.cpu.packed_attention import (
    BlockAttention,
    GridAttention,
    group_blocks,
    starts,
)
from neat_align.models.layout.base import Layout, Rows
from neat_align.models.layout.packable import can_pack, say_padded, uses_our_attention
from neat_align.models.layout.padded import padded_rows, padded_tokens
from neat_align.models.tokenized import TokenizedGroup

LONG_GROUP = 192
"""Mean tokens of a group from which blocks are used rather than a padded grid."""


class Packed(Layout):
    """One row for all groups, for a model that packs.

    Groups beyond the model's sliding window are padded.
    """

    def rows(self, groups: Sequence[TokenizedGroup]) -> Rows:
        """Lay the groups out in one row, or padded where the window is too short for them."""
        if can_pack(self.model, groups):
            return packed_rows(groups, with_mask=not uses_our_attention(self.model))
        say_padded("a query with its response that is longer than the model's sliding window")
        return padded_rows(groups, self.pad_id)

    def tokens(self, groups: Sequence[TokenizedGroup]) -> int:
        """Count the tokens, each query once."""
        if not can_pack(self.model, groups):
            return padded_tokens(groups)
        return sum(len(g.query_ids) + sum(map(len, g.response_ids)) for g in groups)


def packed_rows(groups: Sequence[TokenizedGroup], with_mask: bool = False) -> Rows:
    """Lay groups out in one row of L tokens.

    Args:
        with_mask: the portable form, for any attention that takes a 4D mask, instead of an
            attention of ours.
    """
    sizes = [len(g.query_ids) + sum(map(len, g.response_ids)) for g in groups]
    ids = [i for g in groups for part in (g.query_ids, *g.response_ids) for i in part]
    lengths = torch.tensor([len(r) for g in groups for r in g.response_ids])
    longest = int(lengths.max())
    predicted_at, kept, ends_at = _places(groups, sizes)
    # A 4D mask is passed on as it is; any other would be turned into one of [L, L].
    mask = _row_mask(groups, sizes) if with_mask else torch.zeros(1, 1, 1, 1)
    return Rows(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([[p for g in groups for p in _positions(g)]]),
        attention_mask=mask,
        response_mask=torch.arange(longest) >= longest - lengths[:, None],
        targets=torch.tensor([i for g in groups for r in g.response_ids for i in r]),
        predicted_at=torch.tensor(predicted_at),
        logits_to_keep=torch.tensor(kept),
        response_row=torch.zeros(len(lengths), dtype=torch.long),
        ends_at=torch.tensor(ends_at),
        attention=None if with_mask else _attention(groups, sizes),
    )


def _positions(group: TokenizedGroup) -> list[int]:
    """Count each response's positions on from the query's."""
    n = len(group.query_ids)
    return [*range(n), *(p for r in group.response_ids for p in range(n, n + len(r)))]


def _places(
    groups: Sequence[TokenizedGroup], sizes: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """Find `predicted_at`, the positions kept for the LM head, and `ends_at`."""
    kept: list[int] = []  # positions that predict a token
    predicted_at: list[int] = []  # per response token: its place among `kept`
    ends_at: list[int] = []
    for begin, group in zip(starts(sizes), groups, strict=True):
        start = begin + len(group.query_ids)
        last = start - 1
        shared = len(kept)  # the query's last token predicts the first of every response
        kept += [last] if any(group.response_ids) else []
        for length in map(len, group.response_ids):
            if length:
                predicted_at += [shared, *range(len(kept), len(kept) + length - 1)]
                kept += range(start, start + length - 1)
            ends_at.append(start + length - 1 if length else last)
            start += length
    return predicted_at, kept, ends_at


def _attention(groups: Sequence[TokenizedGroup], sizes: Sequence[int]) -> AttentionLayout:
    """Choose blocks for long groups, a padded grid for short ones."""
    if sum(sizes) < LONG_GROUP * len(sizes):
        return GridAttention(sizes, torch.cat([_group_mask(g, max(sizes)) for g in groups]))
    return BlockAttention(
        [
            block
            for start, group in zip(starts(sizes), groups, strict=True)
            for block in group_blocks(
                start, len(group.query_ids), [len(r) for r in group.response_ids]
            )
        ]
    )


def _row_mask(groups: Sequence[TokenizedGroup], sizes: Sequence[int]) -> torch.Tensor:
    """Put the groups' own masks along the diagonal of [1, 1, L, L]."""
    mask = torch.full((sum(sizes), sum(sizes)), torch.finfo(torch.float32).min)
    for start, size, group in zip(starts(sizes), sizes, groups, strict=True):
        mask[start : start + size, start : start + size] = _group_mask(group, size)[0, 0]
    return mask[None, None]


def _group_mask(group: TokenizedGroup, width: int) -> torch.Tensor:
    """Let a token see the query and its own segment, nothing later; [1, 1, width, width]."""
    n = len(group.query_ids)
    lengths = [len(r) for r in group.response_ids]
    total = n + sum(lengths)
    segment = torch.full((width,), -1)  # 0 the query, i response i, -1 padding
    segment[:total] = torch.repeat_interleave(
        torch.arange(len(lengths) + 1), torch.tensor([n, *lengths])
    )
    earlier = torch.ones(width, width, dtype=torch.bool).tril()
    allowed = earlier & ((segment == 0) | (segment == segment[:, None]))
    # Padding looks at earlier padding: a softmax over nothing is NaN.
    mask = torch.zeros(width, width).masked_fill_(~allowed, torch.finfo(torch.float32).min)
    return mask[None, None]
