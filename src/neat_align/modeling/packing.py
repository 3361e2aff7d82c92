"""The packed layout: a group as one row, its query once instead of K times.

    row of a group:    [ pad … | query | y_1 | y_2 | … | y_K | pad … ]
    position_ids:              0 … n-1  n …   n …       n …

A response sees the query and its own earlier tokens, never another response, and its
positions go on from the query's: the log-probs are those of K separate rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from neat_align.modeling.cascade import NAME as CASCADE
from neat_align.modeling.cascade import Segments
from neat_align.modeling.tokenized import TokenizedGroup, padded_batch

PACKABLE = ("llama", "qwen2", "qwen3")
"""Model types whose attention takes any 4D mask and whose positions are all in `position_ids`."""

CASCADE_FROM = 192
"""Columns from which cascade attention is used: a loop over rows, dear for many short ones."""


def can_pack(model: Any) -> bool:
    """Whether the model computes the same in the packed layout as in the padded one."""
    config = model.config.get_text_config()
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    attention = getattr(config, "_attn_implementation", None)
    return config.model_type in PACKABLE and not slides and attention in ("sdpa", "eager", CASCADE)


def lay_out(model: Any, groups: Sequence[TokenizedGroup], pad_id: int) -> dict[str, Any]:
    """The batch that suits the model: packed where it can be, else padded."""
    if not can_pack(model):
        return dict(padded_batch(groups, pad_id))
    return packed_batch(groups, pad_id, _cascades(model))


def prepare_for_packing(model: Any) -> None:
    """Set cascade attention, once, where it serves: SDPA on the CPU in a model that packs.

    Without a packed row it computes what SDPA does. Switching the attention around single
    forwards instead would break activation checkpointing, silently.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    attention = model.config.get_text_config()._attn_implementation
    if on_cpu and attention == "sdpa" and can_pack(model):
        model.set_attn_implementation(CASCADE)


def _cascades(model: Any) -> bool:
    on_cpu = next(model.parameters()).device.type == "cpu"
    return on_cpu and model.config.get_text_config()._attn_implementation == CASCADE


def packed_batch(
    groups: Sequence[TokenizedGroup], pad_id: int, cascade: bool = False
) -> dict[str, Any]:
    """One row for each group, the queries ending in the same column.

    Args:
        cascade: leave the mask of long rows to `cascade.cascade_attention`: `segments` then
            says where their parts lie, and `attention_mask` is a place-holder.

    Returns:
        `input_ids`, `position_ids` [G, L]; `attention_mask` [G, 1, L, L] float, 0 where a
        token may look and the most negative number elsewhere; the rest as in
        `padded_batch`, the kept logits beginning where the queries end.
    """
    query_width = max(len(g.query_ids) for g in groups)
    width = query_width + max(sum(map(len, g.response_ids)) for g in groups)
    longest = max(len(r) for g in groups for r in g.response_ids)
    rows = sum(len(g.response_ids) for g in groups)
    input_ids = torch.full((len(groups), width), pad_id)
    position_ids = torch.zeros((len(groups), width), dtype=torch.long)
    segment = torch.full((len(groups), width), -1)  # 0 the query, i response i, -1 padding
    response_mask = torch.zeros((rows, longest), dtype=torch.bool)
    targets = torch.full((rows, longest), pad_id)
    predicted_at = torch.zeros((rows, longest), dtype=torch.long)
    ends_at = torch.zeros(rows, dtype=torch.long)
    row = 0
    for g, group in enumerate(groups):
        n = len(group.query_ids)
        input_ids[g, query_width - n : query_width] = torch.tensor(group.query_ids)
        position_ids[g, query_width - n : query_width] = torch.arange(n)
        segment[g, query_width - n : query_width] = 0
        start = query_width
        for i, response in enumerate(group.response_ids, 1):
            tokens, length = torch.tensor(response), len(response)
            columns = slice(start, start + length)
            input_ids[g, columns] = tokens
            position_ids[g, columns] = torch.arange(n, n + length)
            segment[g, columns] = i
            response_mask[row, longest - length :] = True
            targets[row, longest - length :] = tokens
            places = torch.arange(length) + start - query_width
            places[0] = 0  # the first token is predicted by the query's last
            predicted_at[row, longest - length :] = places
            start, row = start + length, row + 1
            ends_at[row - 1] = start - 1
    attention: dict[str, Any] = {}
    if cascade and width >= CASCADE_FROM:
        # A 4D mask is passed on as it is; any other would be turned into one of [L, L].
        attention["attention_mask"] = torch.zeros(1, 1, 1, 1)
        attention["segments"] = [_segments(group, query_width) for group in groups]
    else:
        attention["attention_mask"] = _attention_mask(segment, position_ids)
    return {
        **attention,
        "input_ids": input_ids,
        "position_ids": position_ids,
        "response_mask": response_mask,
        "targets": targets,
        "predicted_at": predicted_at,
        "ends_at": ends_at,
        "response_row": torch.tensor([g for g, x in enumerate(groups) for _ in x.response_ids]),
        "logits_to_keep": torch.tensor(width - query_width + 1),
    }


def _segments(group: TokenizedGroup, query_width: int) -> Segments:
    query = slice(query_width - len(group.query_ids), query_width)
    return Segments.of(query, [len(ids) for ids in group.response_ids])


def _attention_mask(segment: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """[G, 1, L, L]: the query for everyone, one's own segment, nothing that comes later."""
    looks, seen = segment[:, :, None], segment[:, None, :]
    earlier = position[:, None, :] <= position[:, :, None]
    allowed = ((seen == 0) | (seen == looks)) & (seen >= 0) & (looks >= 0) & earlier
    # A softmax over nothing is NaN: padding looks at itself, and nobody looks at padding.
    allowed |= torch.eye(segment.shape[1], dtype=torch.bool)
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return mask[:, None]
