"""Log-probabilities of given labels, without a float32 copy of all logits.

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
    """Log softmax(logits)[row, label] in float32, nats, [M].

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
        norm = torch.cat([part.float().logsumexp(-1) for part in _chunks(logits)])
        ctx.save_for_backward(logits, row, label, norm)
        return logits[row, label].float() - norm[row]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """d/dz of Σ_m g_m (z[row_m, label_m] − norm[row_m]) = Σ_m g_m (1[label_m] − softmax)."""
        logits, row, label, norm = ctx.saved_tensors
        gradient = gradients[0]
        weight = torch.zeros_like(norm).index_add_(0, row, gradient)
        start = 0
        for part in _chunks(logits):
            rows = slice(start, start + len(part))
            softmax = (part.float() - norm[rows, None]).exp_()
            part.copy_(softmax.mul_(-weight[rows, None]))
            start = rows.stop
        logits.index_put_((row, label), gradient.to(logits.dtype), accumulate=True)
        return logits, None, None


def _chunks(logits: Tensor) -> Iterator[Tensor]:
    elements = CHUNK.get(logits.device.type, CHUNK_ELSEWHERE)
    return iter(logits.split(max(1, elements // logits.shape[-1])))
