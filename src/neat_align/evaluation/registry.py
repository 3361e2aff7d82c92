"""The one registry of metrics and tasks: what the files of `metrics/` and `tasks/` declare.

A file in one of these folders is found by being there; nothing else names it.
"""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TypeVar

from neat_align.errors import InputError, RecipeError, nearest, raise_all
from neat_align.evaluation.metric import Metric
from neat_align.evaluation.task import Task
from neat_align.evaluation.task_file import TaskFile

T = TypeVar("T")
METRICS, TASKS = "neat_align.evaluation.metrics", "neat_align.evaluation.tasks"


def metrics() -> dict[str, Metric]:
    """Return every metric by name: the suite's, then those of the benchmarks."""
    own = list(suite_metrics())
    own += [metric for task in tasks().values() if task.read for metric in task.named_metrics]
    return _by_name(own, "metric")


def suite_metrics() -> tuple[Metric, ...]:
    """Return the metrics of the files in metrics/, which every evaluation computes."""
    return tuple(_by_name(list(_declared(METRICS, Metric)), "metric").values())


def tasks() -> dict[str, Task]:
    """Return every task by name."""
    return _by_name(list(_declared(TASKS, Task)), "task")


def benchmark(name: str) -> Task:
    """Return a task that reads a file of the user.

    Raises:
        RecipeError: there is none of that name.
    """
    known = {task.name: task for task in tasks().values() if task.read}
    if name not in known:
        raise RecipeError(f"task {name!r}", "there is no such benchmark", nearest(name, known))
    return known[name]


def read_tasks(
    files: Mapping[str, TaskFile],
    seed: int = 0,
    trained: Collection[str] = (),
    problems: Sequence[InputError] = (),
) -> list[Task]:
    """Return the benchmarks of `files`, each with the queries of its own.

    Args:
        files: the benchmark's name → the user's file.
        seed: draws the queries of files with a limit.
        trained: folded texts of queries that were trained on, which are not asked.
        problems: others that are known already.

    Raises:
        InputError: everything that is wrong with the names and the files.
    """
    found: list[Task] = []
    errors: list[InputError] = [*problems]
    for name, file in files.items():
        try:
            found.append(file.given_to(benchmark(name), seed, trained))
        except InputError as error:
            errors.append(error)
    raise_all(errors)
    return found


def _declared(package: str, kind: type[T]) -> Iterator[T]:
    """Yield what the files of a folder declare, by file name and in the order of each file."""
    names = sorted(info.name for info in pkgutil.iter_modules(import_module(package).__path__))
    found: dict[int, T] = {}
    for name in names:
        for value in vars(import_module(f"{package}.{name}")).values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, kind):
                    found.setdefault(id(item), item)
    yield from found.values()


def _by_name(found: list[T], what: str) -> dict[str, T]:
    names: list[str] = [item.name for item in found]  # type: ignore[attr-defined]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        why = "two files declare it, and one would hide the other"
        raise RecipeError(f"{what} {twice[0]!r}", why, "give one of them another name")
    return dict(zip(names, found, strict=True))
