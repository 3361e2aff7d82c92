"""A linear model over hashed n-grams and signs, and the file that holds several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from neat_align.evaluation.judges.features import Grams

PARTS = ("buckets", "weights", "signs", "bias")


@dataclass(frozen=True)
class Linear:
    """w·grams + v·signs + b.

    Attributes:
        weights: of each n-gram, by its hash; any other counts nothing.
        signs: the weights v of the signs; empty where the model looks at none.
        bias: b.
    """

    weights: Mapping[int, float]
    signs: Sequence[float] = field(default=())
    bias: float = 0.0

    def logit(self, grams: Grams, signs: Sequence[float] = ()) -> float:
        """Return the log-odds of an answer."""
        known = sum(value * self.weights.get(bucket, 0.0) for bucket, value in grams.items())
        told = sum(v * sign for v, sign in zip(self.signs, signs, strict=True))
        return known + told + self.bias


def write_models(path: Path, models: Mapping[str, Linear]) -> None:
    """Write models as safetensors, their weights in half precision."""
    tensors = {}
    for name, model in models.items():
        buckets = np.array(sorted(model.weights), dtype=np.int32)
        tensors[f"{name}.buckets"] = buckets
        weights = [model.weights[int(bucket)] for bucket in buckets]
        tensors[f"{name}.weights"] = np.array(weights, dtype=np.float16)
        tensors[f"{name}.signs"] = np.array(model.signs, dtype=np.float32)
        tensors[f"{name}.bias"] = np.array([model.bias], dtype=np.float32)
    save_file(tensors, path)


def read_models(path: Path) -> dict[str, Linear]:
    """Read what `write_models` wrote."""
    tensors = load_file(path)
    names = {key.split(".")[0] for key in tensors}
    return {name: _model(*(tensors[f"{name}.{part}"] for part in PARTS)) for name in names}


def _model(buckets: np.ndarray, weights: np.ndarray, signs: np.ndarray, bias: np.ndarray) -> Linear:
    known = dict(zip(buckets.tolist(), weights.astype(float).tolist(), strict=True))
    return Linear(known, signs.tolist(), float(bias[0]))
