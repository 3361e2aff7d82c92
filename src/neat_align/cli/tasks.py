"""`neat task`: the tasks that models can be evaluated by; and what `--task` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neat_align.errors import InputError, RecipeError, nearest
from neat_align.evaluation.registry import tasks
from neat_align.evaluation.task import Task
from neat_align.evaluation.task_file import TaskFile

console = Console(soft_wrap=True, highlight=False)
task_app = typer.Typer(help="Tasks of an evaluation: list, show.", no_args_is_help=True)


@task_app.command("list")
def task_list() -> None:
    """List the tasks that models can be evaluated by."""
    known = tasks()
    width = max(map(len, known))
    for task in known.values():
        console.print(f"{task.name:<{width}} {task.about}", markup=False)


@task_app.command("show")
def task_show(name: Annotated[str, typer.Argument(help="A name from the list.")]) -> None:
    """Show a task: its file, its metrics, its licence and whom to cite.

    Example: neat task show xstest
    """
    known = tasks()
    if name not in known:
        raise RecipeError(f"task {name!r}", "there is none of that name", nearest(name, known))
    console.print("\n".join(_lines(known[name])), markup=False)


def _lines(task: Task) -> list[str]:
    read = (task.read.__doc__ or "").splitlines() if task.read else []
    return [
        f"{task.title}, version {task.version}: {task.about}",
        f"licence: {task.licence}",
        f"citation: {task.citation}",
        *([f"file: {read[0]}"] if read else []),
        *([f"use: neat evaluate … --task {task.name}=FILE"] if read else []),
        *(f"{metric.name}: {metric.meaning}" for metric in task.named_metrics),
    ]


def task_files(
    given: Sequence[str], limit: int | None = None
) -> tuple[dict[str, TaskFile], list[InputError]]:
    """Split `NAME=PATH` into the names of benchmarks and their files; list what cannot be.

    Args:
        limit: queries of each that are asked at most.
    """
    found: dict[str, TaskFile] = {}
    errors: list[InputError] = []
    if limit is not None and not given:
        why = "there is no benchmark to take queries from"
        errors.append(RecipeError(f"--task-limit {limit}", why, "give --task NAME=PATH, too"))
    for text in given:
        name, _, path = text.partition("=")
        if not path:
            errors.append(RecipeError(f"--task {text!r}", "it names no file", "write NAME=PATH"))
        elif name in found:
            errors.append(
                RecipeError(f"--task {name}", "it is given twice", "give one file per task")
            )
        else:
            found[name] = TaskFile(Path(path), limit)
    return found, errors
