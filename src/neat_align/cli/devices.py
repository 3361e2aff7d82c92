"""`--device` and `--dtype`: one pair of options for every command that loads a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from neat_align.errors import InputError, RecipeError
from neat_align.models import AUTO, place
from neat_align.models.device import device_name_problems, device_problems, dtype_problems

DeviceOption = Annotated[
    str, typer.Option("--device", help="auto (the best there is), cpu, cuda, cuda:1, mps …")
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype", help="auto (bfloat16 on a GPU that has it), float32, bfloat16, float16."
    ),
]
RecipeDevice = Annotated[
    str | None, typer.Option("--device", help="In place of the recipe's model.device.")
]
RecipeDtype = Annotated[
    str | None, typer.Option("--dtype", help="In place of the recipe's model.dtype.")
]


def as_overrides(device: str | None, dtype: str | None) -> list[str]:
    """Return the options as overrides of a recipe."""
    given = {"model.device": device, "model.dtype": dtype}
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def option_problems(
    device: str, dtype: str, server: str | None = None, ray: str | None = None, gpus: float = 0
) -> list[InputError]:
    """Find problems of the options, for work here, on a server or in workers of a cluster."""
    problems = [*device_name_problems(device), *dtype_problems(dtype)]
    if problems:
        return problems
    if server is not None:
        return _on_server(device, dtype, ray, gpus)
    return _on_ray(device, ray, gpus) if ray is not None else device_problems(device)


def say_place(console: Console, device: str, dtype: str) -> None:
    """Print once what the options mean on this machine."""
    console.print(str(place(device, dtype)))


def needs_place(rewards: Sequence[str | None]) -> bool:
    """Tell whether a model is loaded for one of these rewards."""
    from neat_align.scoring import loads_model

    return any(loads_model(name) for name in rewards if name)


def _on_server(device: str, dtype: str, ray: str | None, gpus: float) -> list[InputError]:
    problems: list[InputError] = []
    if (device, dtype) != (AUTO, AUTO):
        given = f"--device {device} and --dtype {dtype} with --server"
        fix = "leave them out, and start the server with them"
        problems.append(RecipeError(given, "the server decides where its model runs", fix))
    if ray is not None and gpus:
        given = f"--ray-gpus {gpus:g} with --server"
        why = "the workers only ask the server, and the GPUs would idle"
        problems.append(RecipeError(given, why, "leave --ray-gpus out"))
    return problems


def _on_ray(device: str, ray: str, gpus: float) -> list[InputError]:
    """Tell whether workers have the device; what this machine has does not matter."""
    if device == "cpu" and gpus:
        given = f"--ray-gpus {gpus:g} with --device cpu"
        return [RecipeError(given, "the GPUs would be reserved and idle", "leave one of them out")]
    kind, _, number = device.partition(":")
    if kind not in (AUTO, "cpu") and not gpus:
        given = f"--device {device} with --ray {ray}"
        return [RecipeError(given, "its workers are given no GPU", "give --ray-gpus 1, too")]
    if int(number or 0) >= max(gpus, 1):
        given = f"--device {device} with --ray-gpus {gpus:g}"
        why = "a worker sees only the GPUs that it was given, and counts them from 0"
        return [RecipeError(given, why, "write --device cuda")]
    return []
