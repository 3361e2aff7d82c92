"""Check that a model computes the same for a text whatever stands beside it in the batch.

Responses are read in padded rows, unless their family is packed. A model that does not heed the
attention mask (RWKV, RecurrentGemma, xLSTM) reads the padding as text, and its log-probabilities
are wrong by a nat and more, silently; one that looks ahead (an encoder) has none at all. Which
families do is not told by their configs, so a model of a family that the tests do not compare
is asked a few tokens, padded and alone, before it is used.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch

from neat_align.errors import InputError, ModelError
from neat_align.models.layout.packable import PACKABLE

TOKENS = 7
PADDING = 5
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
"""Nats by which log-probabilities may differ, by the dtype of the weights."""
TOLERANCE_16_BIT = 0.25

_known: WeakKeyDictionary[Any, list[InputError]] = WeakKeyDictionary()


def padding_problems(model: Any) -> list[InputError]:
    """Find whether padding, or what comes later, changes what a model says of a token.

    Args:
        model: a causal language model, with or without an adapter. Asked once.
    """
    config = model.config.get_text_config()
    if config.model_type in PACKABLE:
        return []
    if model not in _known:
        _known[model] = _problems(model, config.model_type)
    return _known[model]


def _problems(model: Any, family: str) -> list[InputError]:
    fix = f"use a model of a family that was compared: {', '.join(PACKABLE)}"
    given = f"a model of the family {family}"
    was_training = model.training
    model.eval()
    try:
        alone, padded, cut = _three_ways(model)
    finally:
        model.train(was_training)
    limit = TOLERANCE.get(next(model.parameters()).dtype, TOLERANCE_16_BIT)
    ahead = (alone[: len(cut)] - cut).abs().max().item()
    if not ahead <= limit:
        why = f"later tokens change what it says of earlier ones, by {ahead:.2g} nats"
        return [ModelError(given, why, fix)]
    beside = (alone - padded).abs().max().item()
    if not beside <= limit:
        why = f"padding changes its log-probabilities (by {beside:.2g} nats): it ignores the mask"
        return [ModelError(given, why, fix)]
    return []


@torch.no_grad()
def _three_ways(model: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute log-probs [tokens, V] of a text alone, beside a longer one, and cut off half-way."""
    device = next(model.parameters()).device
    size = min(model.config.get_text_config().vocab_size, 1000)
    text = torch.arange(TOKENS + PADDING) * 7919 % (size - size // 4) + size // 4
    own = text[PADDING:]
    rows = torch.stack([text, torch.cat([torch.zeros(PADDING, dtype=torch.long), own])])
    mask = torch.ones_like(rows)
    mask[1, :PADDING] = 0
    half = own[: TOKENS // 2]

    def logps(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        moved = {name: value.to(device) for name, value in given.items()}
        return model(**moved, use_cache=False).logits[-1].float().log_softmax(-1)

    alone = logps(own[None], torch.ones_like(own[None]))
    cut = logps(half[None], torch.ones_like(half[None]))
    return alone, logps(rows, mask)[PADDING:], cut
