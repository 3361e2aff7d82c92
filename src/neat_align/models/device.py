"""Decide where a model runs and how exactly: one rule for every command, and each model in it.

    device auto   the GPU of this process (CUDA; that of LOCAL_RANK under a launcher, the one
                  that Ray assigned in its workers), else MPS, else the CPU
    dtype auto    bfloat16 on a CUDA GPU that computes in it, else float32

That is for models that are only read: sampling, scoring, evaluation. Weights that are trained
stay in float32, where small updates are not rounded away; a 16-bit dtype is then that of the
forward passes (autocast), and of the frozen weights below an adapter.

What is a device's name is told without torch; whether this machine has it needs torch.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from neat_align.errors import InputError, ModelError

AUTO = "auto"
DTYPES = (AUTO, "float32", "bfloat16", "float16")
KINDS = ("cuda", "mps", "xpu", "npu", "hpu", "mlu", "musa")
"""Accelerators that torch knows by these names; tested are the CPU and, by stand-ins, CUDA."""
HABITS = {"gpu": "cuda", "nvidia": "cuda", "rocm": "cuda", "metal": "mps", "apple": "mps"}
"""What people write, and what it is called."""


@dataclass(frozen=True)
class Placement:
    """A device of this machine and a dtype, both decided.

    Attributes:
        device: as torch names it, e.g. "cuda:0".
        dtype: "float32", "bfloat16" or "float16".
    """

    device: str
    dtype: str

    def __str__(self) -> str:
        return f"device {self.device}{_card(self.device)}, {self.dtype}"


def place(device: str | None = AUTO, dtype: str | None = AUTO) -> Placement:
    """Decide device and dtype of a model that is only read.

    Raises:
        ModelError: there is no such device here, or no such dtype.
    """
    found = chosen_device(device)
    return Placement(found, chosen_dtype(dtype, found))


def chosen_device(asked: str | None = AUTO) -> str:
    """Return the device that a name stands for on this machine.

    Raises:
        ModelError: there is none.
    """
    for problem in device_problems(asked):
        raise problem
    if asked not in (None, AUTO):
        return _own_gpu() if asked == "cuda" else str(asked)
    import torch

    if torch.cuda.is_available():
        return _own_gpu()
    return "mps" if torch.backends.mps.is_available() else "cpu"


def chosen_dtype(asked: str | None, device: str) -> str:
    """Choose the dtype of a model that is only read on a device.

    Raises:
        ModelError: there is none of that name.
    """
    for problem in dtype_problems(asked):
        raise problem
    if asked not in (None, AUTO):
        return str(asked)
    return "bfloat16" if has_bfloat16(device) else "float32"


def has_bfloat16(device: str) -> bool:
    """Tell whether a device is a CUDA GPU that computes in bfloat16 itself."""
    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        return False
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def dtype_problems(asked: str | None) -> list[InputError]:
    """Find whether a text names no dtype of weights."""
    if asked in (None, *DTYPES):
        return []
    short = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32"}
    meant = short.get(str(asked), "")
    fix = f"write {meant}" if meant else f"use one of: {', '.join(DTYPES)}"
    return [ModelError(f"dtype {asked!r}", "weights are not read in it", fix)]


def device_name_problems(asked: str | None) -> list[InputError]:
    """Find whether a text names no device, whatever the machine; torch is not imported."""
    if asked in (None, AUTO, "cpu"):
        return []
    kind = str(asked).partition(":")[0]
    if kind in KINDS and re.fullmatch(r"[a-z]+(:\d+)?", str(asked)):
        return []
    meant = HABITS.get(kind.lower())
    fix = f"write {meant}" if meant else "use auto, cpu, cuda, cuda:0 or mps"
    return [ModelError(f"device {asked!r}", "no device has that name", fix)]


def device_problems(asked: str | None) -> list[InputError]:
    """Find whether a text names no device, or one that this machine does not have."""
    problems = device_name_problems(asked)
    if problems or asked in (None, AUTO, "cpu"):
        return problems
    kind, _, number = str(asked).partition(":")
    count = _count(kind)
    if int(number or 0) < count:
        return []
    here = "none" if not count else f"{kind}:0" + f" to {kind}:{count - 1}" * (count > 1)
    why = f"of that kind there is {here} here"
    return [ModelError(f"device {asked!r}", why, "use auto, which takes the best there is")]


def _count(kind: str) -> int:
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = getattr(torch, kind, None)
    available = module is not None and module.is_available()
    return int(module.device_count()) if available and module is not None else 0


def _own_gpu() -> str:
    """Return the GPU of this process: each one under a launcher has its own."""
    import torch

    count = max(1, torch.cuda.device_count())
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % count}"


def _card(device: str) -> str:
    if not device.startswith("cuda"):
        return ""
    import torch

    return f" ({torch.cuda.get_device_name(device)})"
