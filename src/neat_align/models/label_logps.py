"""Compute log-probabilities of given labels, without a float32 copy of all logits.

With a vocabulary of 32,000 the logits of one group are larger than all else a step keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CHUNK = {"cpu": 2**18}  # elements turned to float32 at a time: what a core's cache holds
CHUNK_ELSEWHERE = 2**26


def label_logps(logits: Tensor, row: Tensor, label: Tensor) -> Tensor:
    """Compute log softmax(logits)[row, label] in float32, nats, [M].

    The gradient is written over the logits, so nothing else may need them, and a second
    backward through them is refused by torch.

    Args:
        logits: [U, V] of any float dtype.
        row: [M], which row predicts each label; a row may predict several.
        label: [M].
    """
    logps: Tensor = _LabelLogps.apply(logits, row, label)
    return logps


class _LabelLogps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, row: Tensor, label: Tensor) -> Tensor:
        ctx.save_for_backward(logits, row, label)
        logps = torch.empty(len(row), device=logits.device)
        order = row.argsort()
        labels_below = torch.searchsorted(row[order], torch.arange(len(logits) + 1).to(row))
        for start, part in _chunks(logits):
            first, stop = labels_below[start], labels_below[start + len(part)]
            own = order[first:stop]
            if len(own):  # rows that predict nothing, padding, are left out where they can be
                found = part.log_softmax(-1, dtype=torch.float32)
                logps[own] = found[row[own] - start, label[own]]
        return logps

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Compute d/dz Σ_m g_m log softmax(z[row_m])[label_m] = Σ_m g_m (1[label_m] − softmax)."""
        logits, row, label = ctx.saved_tensors
        gradient = gradients[0]
        weight = gradient.new_zeros(len(logits)).index_add_(0, row, gradient)
        for start, part in _chunks(logits):
            softmax = part.softmax(-1, dtype=torch.float32)
            part.copy_(softmax.mul_(-weight[start : start + len(part), None]))
        logits.index_put_((row, label), gradient.to(logits.dtype), accumulate=True)
        return logits, None, None


def _chunks(logits: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, rows) of pieces that are turned to float32 at a time."""
    elements = CHUNK.get(logits.device.type, CHUNK_ELSEWHERE)
    size = max(1, elements // logits.shape[-1])
    return ((i * size, part) for i, part in enumerate(logits.split(size)))
