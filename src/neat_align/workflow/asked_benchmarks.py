"""What `--task`, `--suite`, `--data` and `--task-limit` ask for: benchmarks and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RecipeError
from neat_align.evaluation.data_sets import HUB, Looked, look_for, suite
from neat_align.evaluation.registry import benchmark
from neat_align.evaluation.task import Task
from neat_align.evaluation.task_file import TaskFile
from neat_align.provenance import Source


@dataclass(frozen=True)
class Benchmarks:
    """The benchmarks that a command was given by name.

    Attributes:
        tasks: NAME=FILE, or NAME of one that is looked for in `data`.
        suites: names of suites.
        data: directories of data sets, and "hub"; the first that has a data set is taken.
        limit: queries of each that are asked at most.
        skip_missing: go on without those whose data are missing.
    """

    tasks: Sequence[str] = ()
    suites: Sequence[str] = ()
    data: Sequence[str] = ()
    limit: int | None = None
    skip_missing: bool = False

    def __bool__(self) -> bool:
        return bool(self.tasks or self.suites)

    def to_json(self) -> dict[str, Any]:
        """Return what was given, as it was."""
        told = {
            "tasks": list(self.tasks),
            "suites": list(self.suites),
            "data": list(self.data),
            "task_limit": self.limit,
        }
        return {key: value for key, value in told.items() if value}


@dataclass
class Chosen:
    """The benchmarks that can be asked, and what is wrong with the others.

    Attributes:
        files: those that have one.
        problems: all that is wrong.
        looked: what was found where the user did not name a file.
    """

    files: dict[str, TaskFile] = field(default_factory=dict)
    problems: list[InputError] = field(default_factory=list)
    looked: Looked = field(default_factory=Looked)

    def left_out(self) -> dict[str, Any]:
        """Tell of the benchmarks without data, for the results."""
        return {name: one.to_json() for name, one in self.looked.missing.items()}

    def sources(self) -> Mapping[str, Source]:
        """Name what the benchmarks are read from, so that changes can be told later."""
        return {
            f"tasks.{name}": Source("dataset", self.looked.hubs[name].id)
            if name in self.looked.hubs
            else Source("data", str(file.path.absolute()))
            for name, file in self.files.items()
        }


def chosen(asked: Benchmarks, folder: Path) -> Chosen:
    """Find the files of the benchmarks that are asked for, and all that is wrong.

    Args:
        folder: where rows of the hub are written to, for as long as they are needed.
    """
    found = Chosen()
    wanted = _named(asked, found)
    for name in asked.suites:
        try:
            wanted += [task for task in suite(name) if task not in wanted]
        except InputError as error:
            found.problems.append(error)
    found.problems += _unused(asked, wanted)
    if not found.problems:
        looked_for = [task for task in map(benchmark, wanted) if task.name not in found.files]
        found.looked = look_for(looked_for, asked.data, folder)
    paths = found.looked.files.items()
    found.files |= {name: TaskFile(path, asked.limit) for name, path in paths}
    if not asked.skip_missing:
        found.problems += [one.problem() for one in found.looked.missing.values()]
    return found


def _named(asked: Benchmarks, found: Chosen) -> list[str]:
    """Put the files that are named into `found`; return the tasks that are to be looked for."""
    wanted: list[str] = []
    for text in asked.tasks:
        name, _, path = text.partition("=")
        if name in found.files or name in wanted:
            why, fix = "it is given twice", "give one file per task"
            found.problems.append(RecipeError(f"--task {name}", why, fix))
        elif path:
            found.files[name] = TaskFile(Path(path), asked.limit)
        elif asked.data and _is_published(name, found):
            wanted.append(name)
        elif not asked.data:
            fix = "write NAME=PATH, or say with --data where the data sets are"
            found.problems.append(RecipeError(f"--task {text!r}", "it names no file", fix))
    return wanted


def _is_published(name: str, found: Chosen) -> bool:
    """Tell whether a task's data can be looked for; if not, note why."""
    try:
        task: Task = benchmark(name)
    except InputError as error:
        found.problems.append(error)
        return False
    if task.published is None:
        why = "its data are your own, so that no place of them is known"
        found.problems.append(RecipeError(f"--task {name}", why, f"write {name}=PATH"))
    return task.published is not None


def _unused(asked: Benchmarks, wanted: Sequence[str]) -> list[InputError]:
    """List the options that nothing would come of."""
    errors: list[InputError] = []
    if asked.limit is not None and not asked:
        why = "there is no benchmark to take queries from"
        fix = "give --task NAME=PATH or --suite, too"
        errors.append(RecipeError(f"--task-limit {asked.limit}", why, fix))
    for option, is_given in (("--data", asked.data), ("--skip-missing", asked.skip_missing)):
        if is_given and not wanted and not asked.suites:
            why = "no data set is looked for"
            fix = "give --suite, or --task NAME without a file, or leave it out"
            errors.append(RecipeError(option, why, fix))
    for place in asked.data:
        if place != HUB and not Path(place).is_dir():
            why = "there is no such directory"
            fix = f"name a directory with a folder or file per data set, or {HUB}"
            errors.append(RecipeError(f"--data {place}", why, fix))
    return errors
