"""Logistic regression over n-grams and signs, for train_judges.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from neat_align.evaluation.judges import features
from neat_align.evaluation.judges.linear import Linear


@dataclass(frozen=True)
class Example:
    """What a model is trained on: features, label, weight."""

    grams: features.Grams
    signs: Sequence[float]
    label: int
    weight: float


def fit(examples: Sequence[Example], c: float, least: int, sign_scale: float = 0.0) -> Linear:
    """Fit a logistic regression with an L2 penalty of 1 / (2 c), by L-BFGS.

    Args:
        least: n-grams that stand in fewer examples are left out.
        sign_scale: the standard deviation that signs are brought to: how much they may count.
    """
    known, ids, values, starts = _flat([one.grams for one in examples], least)
    signs = torch.tensor([list(one.signs) for one in examples])  # [N, signs]
    mean = signs.mean(0)
    deviation = (signs - mean).square().mean(0).sqrt() + 1e-6
    scaled = ((signs - mean) / deviation).clamp(-3, 3) * sign_scale
    labels = torch.tensor([float(one.label) for one in examples])
    weights = torch.tensor([one.weight for one in examples])
    weights = weights * len(examples) / weights.sum()
    w = torch.zeros(len(known), 1, requires_grad=True)
    v = torch.zeros(signs.shape[1], requires_grad=True)
    b = torch.zeros(1, requires_grad=True)

    def loss() -> torch.Tensor:
        bags = functional.embedding_bag(ids, w, starts, mode="sum", per_sample_weights=values)
        logits = bags[:, 0] + scaled @ v + b
        off = functional.binary_cross_entropy_with_logits(logits, labels, weights, reduction="sum")
        return off + (w.square().sum() + v.square().sum()) / (2 * c)

    minimise(loss, [w, v, b])
    v = v.detach() * sign_scale / deviation
    bias = float(b.detach()) - float(v @ mean)
    return Linear(dict(zip(known, w.detach()[:, 0].tolist(), strict=True)), v.tolist(), bias)


def _flat(
    grams: Sequence[features.Grams], least: int
) -> tuple[list[int], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the kept n-grams, and per place where they stand number, value, start of row."""
    rows = np.repeat(np.arange(len(grams)), [len(one) for one in grams])
    buckets = np.fromiter((b for one in grams for b in one), np.int64, len(rows))
    values = np.fromiter((v for one in grams for v in one.values()), np.float32, len(rows))
    names, ids, counts = np.unique(buckets, return_inverse=True, return_counts=True)
    kept = counts >= least
    here = kept[ids]
    numbers = (np.cumsum(kept) - 1)[ids[here]]
    starts = np.searchsorted(rows[here], np.arange(len(grams)))
    found = (torch.from_numpy(one) for one in (numbers, values[here], starts))
    return names[kept].tolist(), *found


def minimise(loss: Callable[[], torch.Tensor], parameters: Sequence[torch.Tensor]) -> None:
    """Run L-BFGS until it moves no more."""
    lbfgs = torch.optim.LBFGS(parameters, max_iter=40, history_size=10,
                              tolerance_change=1e-5, line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> torch.Tensor:
        lbfgs.zero_grad()
        value = loss()
        value.backward()
        return value

    lbfgs.step(closure)
