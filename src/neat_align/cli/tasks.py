"""`neat task`: the tasks that models can be evaluated by."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from neat_align.errors import RecipeError, nearest
from neat_align.evaluation.registry import tasks
from neat_align.evaluation.task import Task

console = Console(soft_wrap=True, highlight=False)
task_app = typer.Typer(help="Tasks of an evaluation: list, show.", no_args_is_help=True)


@task_app.command("list")
def task_list() -> None:
    """List the tasks that models can be evaluated by."""
    known = tasks()
    width = max(map(len, known))
    for task in known.values():
        suites = ", ".join(task.suites)
        console.print(f"{task.name:<{width}} {suites:<9} {task.about}", markup=False)


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
        *_published(task),
        *(f"{metric.name}: {metric.meaning}" for metric in task.named_metrics),
    ]


def _published(task: Task) -> list[str]:
    """Say which suite a task is in, and where its data are looked for."""
    if task.published is None:
        return []
    hub = task.published.hub
    return [
        f"suite: {', '.join(task.suites)}",
        f"looked for below --data: {' or '.join(task.published.files)}",
        f"published: {task.published.url}",
        *([f"on the hub: {hub.id}"] if hub else []),
    ]
