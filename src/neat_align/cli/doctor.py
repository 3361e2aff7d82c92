"""`neat doctor`: what the machine has, and whether a directory is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from neat_align.errors import InputError, OutputError, raise_all
from neat_align.models import place
from neat_align.report.saved import EVALUATION
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import MANIFEST, RunDirectory, versions

console = Console(soft_wrap=True, highlight=False)

Finding = tuple[str, str, list[InputError]]
"""What was looked at, how it is, and what is wrong with it."""


def doctor(
    directory: Annotated[
        Path | None, typer.Argument(help="A directory that a command wrote, to look into.")
    ] = None,
) -> None:
    """Tell what this machine has; or whether all that a directory should hold is there, whole.

    Every file is read. Exit code 2 if something is damaged; what is merely not finished
    is told, and is no error.

    Example: neat doctor runs/hh
    """
    if directory is None:
        console.print(_machine())
        return
    run = RunDirectory(directory)
    if not run.path(MANIFEST).exists() and not run.path(EVALUATION).exists():
        raise OutputError(
            f"directory {directory}",
            f"it has no {MANIFEST}, so no command of ours wrote it",
            "name the directory given to --output",
        )
    table, errors = Table("what", "state"), []
    for what, state, wrong in _findings(run):
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


def _findings(run: RunDirectory) -> Iterator[Finding]:
    yield from _stages(run)
    yield from _sources(run)
    for folder in sorted(run.directory.glob("**/checkpoint-*")):
        yield _checkpoint(folder)
    for path in sorted(run.directory.glob("*.parquet")):
        yield _part(path)
    yield from _data_set(run.directory)
    yield from _comparison(run.directory)
    for path in sorted(run.directory.glob(".*-new-*")):
        yield path.name, "left by a write that was cut short; it can be removed", []


def _stages(run: RunDirectory) -> Iterator[Finding]:
    is_run = run.path(MANIFEST).exists() and "train" in run.manifest()["recipe"]
    if is_run and not run.stages():
        yield "stages", "none is finished: start the same command with --resume", []
    for stage, info in run.stages().items():
        wrong = run.damage(stage)
        errors: list[InputError] = [
            OutputError(
                f"{run.path(path)}",
                why,
                f"restore it, or remove what the stage {stage!r} wrote and resume",
            )
            for path, why in wrong.items()
        ]
        took = f" in {info['seconds']:.0f} s" if "seconds" in info else ""
        state = f"{len(wrong)} files are damaged" if wrong else "whole"
        yield f"stage {stage}", f"done{took}, {state}", errors


def _sources(run: RunDirectory) -> Iterator[Finding]:
    """What the run was made from: a change there is told, and does no harm to the run."""
    from neat_align.provenance import changes

    sources = run.sources()
    if run.path(EVALUATION).exists():
        sources |= read_json(run.path(EVALUATION)).get("sources", {})
    for where, lines in changes(sources).items():
        name = sources[where]["name"]
        what = f"{where}: {name}" if isinstance(name, str) else where
        yield what, "; ".join(f"changed since: {line}" for line in lines) or "as it was", []


def _checkpoint(folder: Path) -> Finding:
    from neat_align.training.checkpoints import SEAL, check_checkpoint

    if not (folder / SEAL).exists():
        return folder.name, "cut short; it is not used", []
    try:
        check_checkpoint(folder)
    except OutputError as error:
        return folder.name, "damaged", [error]
    return folder.name, "whole", []


def _data_set(directory: Path) -> Iterator[Finding]:
    from neat_align.data.groups.finished import lost_parts, unfinished

    lost = lost_parts(directory)
    for name in lost:
        fix = "restore it, or start the command that writes it again"
        yield name, "lost", [OutputError(f"part {directory / name}", "it is missing", fix)]
    for what in unfinished(directory)[: -len(lost) or None]:
        yield "data set", what, []


def _comparison(directory: Path) -> Iterator[Finding]:
    """The cells of a comparison and its units of work; a damaged one is named."""
    from neat_align.study.store import Store

    for folder in sorted(directory.glob("cells/*")):
        try:
            done = (folder / "result.json").exists() and read_json(folder / "result.json")
        except InputError as error:
            yield f"cell {folder.name}", "damaged", [error]
        else:
            yield f"cell {folder.name}", "finished" if done else "not finished", []
    for unit, record in Store(directory).records().items():
        if "error" in record:
            yield unit, f"failed: {record['error'].splitlines()[0]}", []


def _part(path: Path) -> Finding:
    """A part of a data set; every group of it is read."""
    from neat_align.data import read_groups

    try:
        count = sum(1 for _ in read_groups(path))
    except InputError as error:
        return path.name, "damaged", [error]
    return path.name, f"{count} groups", []
