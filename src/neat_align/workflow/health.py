"""What a directory that a command wrote holds, and what of it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.data import read_groups
from neat_align.data.groups.finished import lost_parts, unfinished
from neat_align.errors import InputError, OutputError
from neat_align.provenance import changes
from neat_align.report.saved import EVALUATION
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import MANIFEST, RunDirectory
from neat_align.training.checkpoints import SEAL, check_checkpoint

Finding = tuple[str, str, list[InputError]]
"""What was looked at, how it is, and what is wrong with it."""


def findings(run: RunDirectory) -> Iterator[Finding]:
    """Yield how the stages, sources, checkpoints and parts of a directory are; read every file.

    Raises:
        OutputError: no command of ours wrote the directory.
    """
    if not run.path(MANIFEST).exists() and not run.path(EVALUATION).exists():
        raise OutputError(
            f"directory {run.directory}",
            f"it has no {MANIFEST}, so no command of ours wrote it",
            "name the directory given to --output",
        )
    yield from _stages(run)
    yield from _sources(run)
    for folder in sorted(run.directory.glob("**/checkpoint-*")):
        yield _checkpoint(folder)
    for path in sorted(run.directory.glob("*.parquet")):
        yield _part(path)
    yield from _data_set(run.directory)


def cut_short(directory: Path) -> Iterator[Finding]:
    """Yield what writes left that did not end."""
    for path in sorted(directory.glob(".*-new-*")):
        yield path.name, "left by a write that was cut short; it can be removed", []


def _stages(run: RunDirectory) -> Iterator[Finding]:
    is_run = run.path(MANIFEST).exists() and "train" in run.manifest()["recipe"]
    if is_run and not run.stages():
        yield "stages", "none is finished: start the same command with --resume", []
    for stage, info in run.stages().items():
        wrong = run.damage(stage)
        fix = f"restore it, or remove what the stage {stage!r} wrote and resume"
        errors: list[InputError] = [
            OutputError(f"{run.path(path)}", why, fix) for path, why in wrong.items()
        ]
        took = f" in {info['seconds']:.0f} s" if "seconds" in info else ""
        state = f"{len(wrong)} files are damaged" if wrong else "whole"
        yield f"stage {stage}", f"done{took}, {state}", errors


def _sources(run: RunDirectory) -> Iterator[Finding]:
    """Yield what the run was made from: a change there is told, and does no harm to the run."""
    sources = run.sources()
    if run.path(EVALUATION).exists():
        sources |= read_json(run.path(EVALUATION)).get("sources", {})
    for where, lines in changes(sources).items():
        name = sources[where]["name"]
        what = f"{where}: {name}" if isinstance(name, str) else where
        yield what, "; ".join(f"changed since: {line}" for line in lines) or "as it was", []


def _checkpoint(folder: Path) -> Finding:
    if not (folder / SEAL).exists():
        return folder.name, "cut short; it is not used", []
    try:
        check_checkpoint(folder)
    except OutputError as error:
        return folder.name, "damaged", [error]
    return folder.name, "whole", []


def _data_set(directory: Path) -> Iterator[Finding]:
    lost = lost_parts(directory)
    for name in lost:
        fix = "restore it, or start the command that writes it again"
        yield name, "lost", [OutputError(f"part {directory / name}", "it is missing", fix)]
    for what in unfinished(directory)[: -len(lost) or None]:
        yield "data set", what, []


def _part(path: Path) -> Finding:
    """Read every group of a part of a data set."""
    try:
        count = sum(1 for _ in read_groups(path))
    except InputError as error:
        return path.name, "damaged", [error]
    return path.name, f"{count} groups", []
