"""The command `neat doctor`: the machine, or whether a directory is whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from neat_align.errors import InputError, raise_all
from neat_align.models import place
from neat_align.models.cached import fetched_models
from neat_align.storage.runs import RunDirectory, versions

console = Console(soft_wrap=True, highlight=False)


def doctor(
    directory: Annotated[
        Path | None, typer.Argument(help="A directory that a command wrote, to look into.")
    ] = None,
) -> None:
    """Show the environment and the models fetched, or check that a run directory is undamaged.

    Every file of either is read. Exit code 2 if something is damaged; what is merely not finished
    is told, and is no error.

    Example: neat doctor runs/hh
    """
    if directory is None:
        _tell(_machine(), fetched_models())
        return
    from neat_align.study import health as comparison
    from neat_align.workflow import health

    found = (health.findings(RunDirectory(directory)), comparison.findings(directory))
    _tell(Table("what", "state"), (*found[0], *found[1], *health.cut_short(directory)))


def _tell(table: Table, findings: Iterable[tuple[str, str, list[InputError]]]) -> None:
    errors: list[InputError] = []
    for what, state, wrong in findings:
        table.add_row(what, state)
        errors += wrong
    console.print(table)
    raise_all(errors)


def _machine() -> Table:
    import torch

    table = Table("what", "found")
    for name, version in versions().items():
        table.add_row(name, version)
    table.add_row("torch threads", str(torch.get_num_threads()))
    table.add_row("GPU", torch.cuda.get_device_name() if torch.cuda.is_available() else "none")
    table.add_row("device and dtype auto", str(place()).removeprefix("device "))
    return table
