"""Detect launches that fell back to one process, before anything is trained.

Some launchers silently fall back to a single process, or to another kind of parallelism. Each
process then trains alone on its share, and the result is wrong.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from neat_align.errors import InputError, TrainingError
from neat_align.storage.yaml_text import parse_yaml

LAUNCHERS = {"accelerate-launch", "accelerate.commands.launch"}
ASKED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DEEPSPEED"}


def processes_asked(command: Sequence[str]) -> int | None:
    """Find how many processes an `accelerate launch` was told to start; None where it is not said.

    It tells its processes only what it made of that, so its command line is read.
    """
    words = {word.rpartition("/")[2] for word in command}
    if not words & LAUNCHERS and not {"accelerate", "launch"} <= words:
        return None
    launcher = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    launcher.add_argument("--num_processes", "--num-processes", type=int)
    launcher.add_argument("--config_file", "--config-file", type=Path)
    known, _ = launcher.parse_known_args(list(command))
    if known.num_processes is None and known.config_file is not None:
        content = parse_yaml(known.config_file.read_text(encoding="utf-8"))
        return int(content.get("num_processes", 0)) or None
    return known.num_processes


def _parent_command() -> list[str]:
    try:
        parent = psutil.Process().parent()
        return parent.cmdline() if parent else []
    except psutil.Error:  # somebody else's process
        return []


def launch_problems(accelerator: Any, processes: int | None) -> list[InputError]:
    """List what the launch asked for and did not get.

    Args:
        accelerator: accelerate's, which knows what came of it.
        processes: how many the user expects; None where that was not said.
    """
    found, kind = accelerator.num_processes, str(accelerator.distributed_type.value)
    problems: list[InputError] = []
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    processes = processes or processes_asked(_parent_command())
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
                f"{processes} processes asked for, and {found} take part",
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


def leave_together() -> None:
    """End the process group of this process, where it has one.

    Threads of gloo that outlive the interpreter abort a process whose work is done, and the
    launcher then calls the whole training failed.
    """
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
