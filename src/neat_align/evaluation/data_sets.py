"""Which tasks a suite has, and where the data of each are: in a directory, or on the hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neat_align.data.files import SUFFIXES
from neat_align.errors import DataError, RecipeError, nearest
from neat_align.evaluation.published import SUITES, Hub, Published
from neat_align.evaluation.registry import tasks
from neat_align.evaluation.rows import ARCHIVE
from neat_align.evaluation.task import Task
from neat_align.storage.paths import exists

ALL, HUB = "all", "hub"


@dataclass(frozen=True)
class Missing:
    """A task whose data are not there.

    Attributes:
        task: one that is published.
        why: what was looked for in vain.
        places: where; none where nothing was said.
    """

    task: Task
    why: str
    places: Sequence[str]

    def problem(self) -> DataError:
        """Tell what is missing, where it is published, under which licence, and what to do."""
        published = _published(self.task)
        given = next((place for place in self.places if place != HUB), "")
        fix = (
            f"get it from {published.url} (licence: {self.task.licence}) and put it at "
            f"{Path(given or 'DIR') / published.files[0]}"
        )
        fix += "" if given else ", with --data DIR"
        if published.hub and HUB not in self.places:
            fix += f"; or give --data {HUB}, which reads {published.hub.id} from the hub"
        fix += "; --skip-missing leaves out what is missing"
        return DataError(f"data of task {self.task.name}", self.why, fix)

    def to_json(self) -> dict[str, Any]:
        return {
            "why": self.why,
            "url": _published(self.task).url,
            "licence": self.task.licence,
        }


@dataclass(frozen=True)
class Looked:
    """What was found when the data of tasks were looked for, by the tasks' names.

    Attributes:
        files: where they are.
        hubs: of the files whose rows the hub gave.
        missing: what is nowhere.
    """

    files: dict[str, Path] = field(default_factory=dict)
    hubs: dict[str, Hub] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)


def suite(name: str) -> list[str]:
    """Return the names of a suite's tasks.

    Raises:
        RecipeError: there is no such suite.
    """
    if name not in (*SUITES, ALL):
        fix = nearest(name, (*SUITES, ALL))
        raise RecipeError(f"--suite {name}", "there is no such suite of benchmarks", fix)
    return [task.name for task in tasks().values() if name in (*task.suites, ALL) and task.suites]


def look_for(asked: Iterable[Task], places: Sequence[str], folder: Path) -> Looked:
    """Look for the data of tasks that are published.

    Args:
        places: directories of data sets and "hub"; the first that has a task's data is taken.
        folder: where rows of the hub are written to.
    """
    looked = Looked()
    for task in asked:
        why: list[str] = []
        if not any(_is_at(place, task, folder, looked, why) for place in places):
            told = "; ".join(why) or "it is not said where they are: no --data"
            looked.missing[task.name] = Missing(task, told, places)
    return looked


def _is_at(place: str, task: Task, folder: Path, looked: Looked, why: list[str]) -> bool:
    """Tell whether a task's data are in a place; note where, or why they are not."""
    try:
        looked.files[task.name] = _at(task, place, folder)
    except DataError as error:
        why.append(f"{error.given}: {error.why}")
        return False
    if place == HUB:
        looked.hubs[task.name] = _hub(task)
    return True


def _at(task: Task, place: str, folder: Path) -> Path:
    """Return the file of a task's data in one place.

    Raises:
        DataError: they are not there.
    """
    if place == HUB:
        return _hub(task).fetched(folder)
    found = next((path for path in candidates(task, Path(place)) if exists(path)), None)
    if found is None:
        names = " and no ".join(_published(task).files)
        raise DataError(place, f"there is no {names}", "put it there")
    return found


def candidates(task: Task, directory: Path) -> Iterator[Path]:
    """Yield where a task's data may lie below a directory: as published, or as TASK.csv, …."""
    yield from (directory / name for name in _published(task).files)
    yield from (directory / f"{task.name}{suffix}" for suffix in (*SUFFIXES, ARCHIVE))


def _hub(task: Task) -> Hub:
    hub = _published(task).hub
    if hub is None:
        why = "its authors publish nothing there that `datasets` reads"
        raise DataError("the hub", why, "give --data DIR")
    return hub


def _published(task: Task) -> Published:
    assert task.published is not None
    return task.published
