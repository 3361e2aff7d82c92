"""Launches that look like several processes and are one, refused before anything is trained.

Some launchers fall back to a single process, or to another kind of parallelism, without a
word; each process then trains by itself on its share, and the result is wrong.
"""

from __future__ import annotations

import os
from typing import Any

from neat_align.errors import InputError, TrainingError

ASKED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DEEPSPEED"}


def launch_problems(accelerator: Any, processes: int | None) -> list[InputError]:
    """What the launch asked for and did not get.

    Args:
        accelerator: accelerate's, which knows what came of it.
        processes: how many the user expects; None where that was not said.
    """
    found, kind = accelerator.num_processes, str(accelerator.distributed_type.value)
    problems: list[InputError] = []
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched != found:
        problems.append(
            TrainingError(
                f"{launched} processes launched, {found} of them together",
                "each would train by itself, without the others' gradients",
                "on a CPU set use_cpu (train: {use_cpu: true}); on GPUs give each process one",
            )
        )
    elif processes is not None and processes != found:
        problems.append(
            TrainingError(
                f"processes={processes}, and {found} take part",
                "the launcher fell back to fewer, or was told another number",
                "use `torchrun --nproc_per_node N`; `accelerate launch --cpu` runs one process",
            )
        )
    for variable, name in ASKED.items():
        if os.environ.get(variable, "").lower() in ("1", "true") and kind != name:
            problems.append(
                TrainingError(
                    f"{name} asked of the launcher, {kind} found",
                    "accelerate fell back, and memory would not be shared as asked",
                    f"launch without {name}, or on devices that support it",
                )
            )
    return problems
