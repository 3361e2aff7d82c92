"""A micro-batch as forward passes within the token budget, and their log-probs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from neat_align.models.layout.budget import passes, split_group
from neat_align.models.layout.packed import lay_out
from neat_align.models.logprobs import token_logps
from neat_align.models.tokenized import TokenizedGroup
from neat_align.types import Source


def collated_passes(
    model: Any,
    groups: Sequence[TokenizedGroup],
    pad_id: int,
    limit: int,
    packed: bool,
    may_split: bool = True,
) -> list[dict[str, Any]]:
    """The groups in passes of at most `limit` tokens, those of similar queries together.

    Args:
        model: unwrapped; decides the layout.
        may_split: a single group beyond the limit is split by its responses.
    """
    by_length = sorted(groups, key=lambda g: len(g.query_ids))
    return [
        collated_pass(model, part, pad_id, limit, packed, may_split)
        for part in passes(model, by_length, limit, packed)
    ]


def collated_pass(
    model: Any,
    groups: Sequence[TokenizedGroup],
    pad_id: int,
    limit: int,
    packed: bool,
    may_split: bool = True,
) -> dict[str, Any]:
    """`layouts` of the forward, and what the objective needs, as [G, K] tensors.

    More than one layout where a single group is beyond the budget and was split.
    """
    pieces = [list(groups)]
    if len(groups) == 1 and may_split:
        pieces = [[piece] for piece in split_group(model, groups[0], limit, packed)]
    sizes = [len(g.response_ids) for g in groups]
    batch: dict[str, Any] = {
        "layouts": [lay_out(model, piece, pad_id, packed) for piece in pieces],
        "sizes": sizes,
        "weight": torch.tensor([g.weight for g in groups]),
        "clean": torch.tensor([g.clean for g in groups]),
        # float64 until the objective: frameworks that cast batches must not create ties.
        "score": _ragged([g.scores for g in groups]),
        "is_negative": _ragged([[s == Source.NEGATIVE for s in g.sources] for g in groups]),
        "present": _ragged([[True] * n for n in sizes]),
    }
    if groups[0].reference is not None:
        batch["reference"] = _ragged([g.reference or [] for g in groups])
    return batch


def pass_logps(
    model: Any, bare: Any, layouts: Sequence[dict[str, Any]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token log-probs of one pass and their mask, [R, T].

    The pieces of a split group are computed again one by one in the backward: the loss ties
    them together, and all at once are what the budget forbids. The first goes through the
    wrapper, which must see one forward, and not in the middle of a backward, so it alone
    keeps its activations.

    Args:
        model: as the trainer calls it, perhaps in DDP.
        bare: the model without wrappers.
    """
    first, *others = layouts
    logps = [token_logps(model, first)]
    logps += [checkpoint(token_logps, bare, layout, use_reentrant=False) for layout in others]
    return _stack(logps), _stack([layout["response_mask"] for layout in layouts])


def _stack(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """[R_i, T_i] → [ΣR_i, max T_i]; responses end at the last column."""
    width = max(row.shape[1] for row in rows)
    return torch.cat([torch.nn.functional.pad(row, (width - row.shape[1], 0)) for row in rows])


def _ragged(rows: Sequence[Sequence[Any]]) -> torch.Tensor:
    """Ragged lists as one tensor [G, K], filled with 0 or False."""
    tensors = [torch.tensor(row, dtype=_dtype(row[0])) for row in rows]
    return pad_sequence(tensors, batch_first=True)


def _dtype(value: Any) -> torch.dtype:
    return torch.bool if isinstance(value, bool) else torch.float64
