"""The precision of a training: what is updated stays in float32.

A weight in bfloat16 has eight bits. With Adam a step is about as large as the learning rate,
and where that is less than half of the distance to the next number, the weight stays where it
is: at 1e-6 that befalls 98 of 100 weights of a usual model, without a word. So 16 bit is for
the forward passes (autocast) and for frozen weights, never for the weights that are trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from neat_align.errors import InputError, ModelError
from neat_align.models.device import AUTO, chosen_device, has_bfloat16

LOST = 0.1
"""Share of the weights that may stay where they are at a given rate."""
FLAGS = {"bf16": "bfloat16", "fp16": "float16"}
"""Setting of the Trainer → the dtype of its autocast."""


@dataclass(frozen=True)
class Precision:
    """Where and how a model is trained.

    Attributes:
        device: decided, e.g. "cpu" or "cuda:0".
        autocast: dtype of the forward passes, "float32" without autocast.
    """

    device: str
    autocast: str

    @classmethod
    def of(
        cls, dtype: str | None = AUTO, device: str | None = AUTO, **flags: bool | None
    ) -> Precision:
        """Decide what a dtype and a device mean for a training.

        Args:
            dtype: "auto" is autocast in bfloat16 on a GPU that has it, else float32.
            flags: the Trainer's own `bf16`, `fp16`, which come before the dtype.

        Raises:
            ModelError: there is no such device here.
        """
        found = chosen_device(device)
        asked = [FLAGS[name] for name, value in flags.items() if value]
        if asked:
            return cls(found, asked[0])
        if dtype not in (None, AUTO):
            return cls(found, "float32" if flags.get("bf16") is False else str(dtype))
        return cls(found, "bfloat16" if has_bfloat16(found) else "float32")

    @property
    def flags(self) -> dict[str, bool]:
        """The Trainer's settings for it."""
        chosen = {name: self.autocast == dtype for name, dtype in FLAGS.items()}
        return {**chosen, "use_cpu": self.device == "cpu"}

    def weights(self, has_adapter: bool) -> str:
        """Return the dtype in which the model is loaded: only frozen weights may have 16 bit."""
        return self.autocast if has_adapter else "float32"

    @property
    def how(self) -> str:
        """The precision, in words."""
        if self.autocast == "float32":
            return "trained in float32"
        return f"trained weights in float32, forward passes in {self.autocast}"

    def __str__(self) -> str:
        return f"device {self.device}; {self.how}"

    def problems(self) -> list[InputError]:
        """Refuse a device that does not train in this precision."""
        if self.autocast != "float16" or self.device.startswith("cuda"):
            return []
        why = f"{self.device} does not train in it: the gradients would need scaling"
        return [ModelError("float16 in training", why, "use bfloat16 or float32")]


def on_one_device(args: Any, device: str = "") -> None:
    """Keep a single process to its one device: the Trainer takes all GPUs, and the first of them.

    Args:
        args: `TrainingArguments`; under a launcher each process has its own GPU already.
        device: which it is to be, e.g. "cuda:1"; "" for the Trainer's choice.
    """
    found = args.device
    args._n_gpu = min(args.n_gpu, 1)
    if args.world_size == 1 and device.startswith("cuda:") and str(found) != device:
        torch.cuda.set_device(device)
        args.__dict__["_setup_devices"] = torch.device(device)


def precision_problems(model: Any, args: Any) -> list[InputError]:
    """Refuse to train weights in 16 bit, where their updates would round away.

    Args:
        args: `TrainingArguments`, for the learning rate. DeepSpeed keeps its own float32
            copies, and is not looked at.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    short = [p for p in trained if p.dtype in (torch.float16, torch.bfloat16)]
    if not short or getattr(args, "deepspeed", None):
        return []
    dtype = str(short[0].dtype).removeprefix("torch.")
    fix = "load it in float32 (dtype=torch.float32) and set bf16=True, or train an adapter"
    given = f"a model whose trained weights are {dtype}"
    if short[0].dtype == torch.float16:
        why = "the squares of its gradients are too small for that dtype, and Adam divides by them"
        return [ModelError(given, why, fix)]
    lost = _share_lost(short, args.learning_rate)
    if lost <= LOST:
        return []
    why = f"an update of the size {args.learning_rate:g} rounds away in {lost:.0%} of the weights"
    return [ModelError(f"{given}, and learning_rate={args.learning_rate:g}", why, fix)]


@torch.no_grad()
def _share_lost(parameters: list[torch.Tensor], rate: float) -> float:
    """Return the share of the weights that a step of this size leaves where they are."""
    lost, count = 0, 0
    for parameter in parameters:
        half = torch.finfo(parameter.dtype).eps / 2
        # Between two powers of two the numbers are as far apart as at the lower one.
        lower = torch.exp2(parameter.float().abs().log2().floor())
        lost += int((lower * half > rate).sum())
        count += parameter.numel()
    return lost / max(count, 1)
