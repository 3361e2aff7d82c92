"""The packed layout: all groups in one row, each query once instead of K times.

    the row:        [ query | y_1 | y_2 | … | y_K ][ query | y_1 | … ]
    position_ids:     0…n-1   n…    n…        n…     0…n-1   n…

A response sees its query and its own earlier tokens, never another response or group, and
its positions go on from the query's: the log-probs are those of separate rows. No token of
the row is padding, and only the positions that predict something reach the LM head.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

import torch

from neat_align.models.cpu.attention import NAME, AttentionLayout, has_our_attention
from neat_align.models.cpu.packed_attention import (
    BlockAttention,
    GridAttention,
    group_blocks,
    starts,
)
from neat_align.models.tokenized import TokenizedGroup, padded_batch

PACKABLE = (
    "gemma",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "olmo2",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
)
"""Model types whose attention takes any 4D mask and whose positions are all in `position_ids`.

Every one of them is compared with its padded layout in tests/invariants/test_packing.py.
"""

LONG_GROUP = 192
"""Mean tokens of a group from which blocks are used rather than a padded grid."""

logger = logging.getLogger(__name__)


def can_pack(model: Any, groups: Sequence[TokenizedGroup] = ()) -> bool:
    """Whether the model computes the same for these groups packed as it does padded.

    A sliding window does no harm where no query with its response is longer than it.
    """
    config = model.config.get_text_config()
    window = _window(config)
    longest = max((_longest_path(group) for group in groups), default=0)
    return not _obstacle(config) and (window is None or longest <= window)


def prepare_for_packing(model: Any) -> None:
    """Set our attention, once, where it serves: SDPA on the CPU in a model that packs.

    Without a packed row it computes what SDPA does. Switching the attention around single
    forwards instead would break activation checkpointing, silently. A model that cannot be
    packed is named in the log, with the reason.
    """
    config = model.config.get_text_config()
    obstacle = _obstacle(config)
    if obstacle:
        _say_padded(f"a {config.model_type} model ({obstacle})")
        return
    on_cpu = next(model.parameters()).device.type == "cpu"
    if on_cpu and config._attn_implementation == "sdpa" and not _drops_attention(config):
        model.set_attn_implementation(NAME)


def lay_out(
    model: Any, groups: Sequence[TokenizedGroup], pad_id: int, packed: bool = True
) -> dict[str, Any]:
    """The batch that suits the model: packed where it can be, else (or unless asked) padded."""
    if packed and can_pack(model, groups):
        return packed_batch(groups, with_mask=not _uses_layouts(model))
    if packed and can_pack(model):
        _say_padded("a query with its response that is longer than the model's sliding window")
    return dict(padded_batch(groups, pad_id))


def packed_batch(groups: Sequence[TokenizedGroup], with_mask: bool = False) -> dict[str, Any]:
    """All groups in one row of N tokens.

    Args:
        with_mask: the portable form, for any attention that takes a 4D mask.

    Returns:
        `input_ids`, `position_ids` [1, N]; `attention_mask` [1, 1, N, N] float, 0 where a
        token may look and the most negative number elsewhere, or a place-holder beside
        `layout`, an `AttentionLayout`; `logits_to_keep` [U], the positions that predict
        something; the rest as in `padded_batch`.
    """
    sizes = [len(g.query_ids) + sum(map(len, g.response_ids)) for g in groups]
    ids: list[int] = []
    positions: list[int] = []
    kept: list[int] = []  # positions that predict a token
    predicted_at: list[int] = []  # of each response token: its place among `kept`
    ends_at: list[int] = []
    for group in groups:
        ids += group.query_ids
        n = len(group.query_ids)
        positions += range(n)
        last = len(ids) - 1
        shared = len(kept)  # the query's last token predicts the first of every response
        kept += [last] if any(group.response_ids) else []
        for response in group.response_ids:
            start, length = len(ids), len(response)
            ids += response
            positions += range(n, n + length)
            if length:
                predicted_at += [shared, *range(len(kept), len(kept) + length - 1)]
                kept += range(start, start + length - 1)
            ends_at.append(start + length - 1 if length else last)
    lengths = torch.tensor([len(r) for g in groups for r in g.response_ids])
    longest = int(lengths.max())
    batch: dict[str, Any] = {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "response_mask": torch.arange(longest) >= longest - lengths[:, None],
        "targets": torch.tensor([i for g in groups for r in g.response_ids for i in r]),
        "predicted_at": torch.tensor(predicted_at),
        "logits_to_keep": torch.tensor(kept),
        "response_row": torch.zeros(len(lengths), dtype=torch.long),
        "ends_at": torch.tensor(ends_at),
    }
    if with_mask:
        return {**batch, "attention_mask": _row_mask(groups, sizes)}
    # A 4D mask is passed on as it is; any other would be turned into one of [N, N].
    return {**batch, "attention_mask": torch.zeros(1, 1, 1, 1), "layout": _layout(groups, sizes)}


def _layout(groups: Sequence[TokenizedGroup], sizes: Sequence[int]) -> AttentionLayout:
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
    """[1, 1, N, N]: the groups' own masks along the diagonal."""
    mask = torch.full((sum(sizes), sum(sizes)), torch.finfo(torch.float32).min)
    for start, size, group in zip(starts(sizes), sizes, groups, strict=True):
        mask[start : start + size, start : start + size] = _group_mask(group, size)[0, 0]
    return mask[None, None]


def _group_mask(group: TokenizedGroup, width: int) -> torch.Tensor:
    """[1, 1, width, width]: the query for everyone, one's own segment, nothing later."""
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


def _longest_path(group: TokenizedGroup) -> int:
    return len(group.query_ids) + max(map(len, group.response_ids))


def _obstacle(config: Any) -> str:
    """Why a model cannot be packed; "" where it can."""
    if config.model_type not in PACKABLE:
        return "not among the model types that were checked"
    if config._attn_implementation not in ("sdpa", "eager", NAME):
        return f"attention {config._attn_implementation}, which takes no 4D mask"
    types = getattr(config, "layer_types", None) or ()
    if set(types) - {"full_attention", "sliding_attention"}:
        return f"layers of the types {', '.join(sorted(set(types)))}"
    for name in (
        "attn_logit_softcapping",
        "use_bidirectional_attention",
        "reorder_and_upcast_attn",
    ):
        if getattr(config, name, None):
            return f"{name} is set"
    return ""


def _window(config: Any) -> int | None:
    """Tokens of the sliding window; None where every layer sees everything."""
    types = getattr(config, "layer_types", None)
    if types is not None and "sliding_attention" not in types:
        return None
    window: int | None = getattr(config, "sliding_window", None)
    return window


def _drops_attention(config: Any) -> bool:
    """Whether attention probabilities are dropped out in training, which only SDPA does."""
    return any(getattr(config, name, 0) for name in ("attention_dropout", "attn_pdrop"))


def _uses_layouts(model: Any) -> bool:
    on_cpu = next(model.parameters()).device.type == "cpu"
    return on_cpu and has_our_attention(model)


@functools.cache
def _say_padded(what: str) -> None:
    """Once for each reason."""
    logger.warning("one row a response, the slower layout, for %s", what)
