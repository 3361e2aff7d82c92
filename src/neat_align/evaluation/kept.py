"""What is done of an evaluation: the pairs of a model and a task that it need not ask again.

The samples of a pair are written when it is finished, with their digest; a pair whose file is
missing or damaged is asked again. Figures are computed from samples, so that they need not be
kept, but for those that only the loaded model tells.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neat_align.errors import NeatError, first_line
from neat_align.evaluation.results import read_rows, samples_path, save_rows
from neat_align.evaluation.statistics import Interval
from neat_align.storage.atomic import atomic_write_text
from neat_align.storage.runs import RunDirectory

FAILED = "failed"


def _nothing(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Kept:
    """The finished pairs of the evaluation that a directory holds.

    Attributes:
        run: the directory.
        base_comes: the base is among the models, so that every model's KL will be known.
        say: is told of each pair that is finished or has failed.
    """

    run: RunDirectory
    base_comes: bool = True
    say: Callable[[str], object] = _nothing

    def has(self, model: str, task: str) -> bool:
        stage = _stage(model, task)
        return self.run.is_done(stage) and not self.run.damage(stage)

    def samples(self, model: str, task: str) -> list[dict[str, Any]] | None:
        """Return the samples of a finished pair; None where it is to be asked."""
        if not self.has(model, task):
            return None
        return read_rows(self._file(model, task))

    def figures(self, model: str, task: str) -> dict[str, Interval]:
        """Return the figures that were kept with a finished pair."""
        told = self.run.stages()[_stage(model, task)]
        return {name: Interval(**value) for name, value in told["figures"].items()}

    def keep(
        self,
        model: str,
        task: str,
        samples: Iterable[Mapping[str, Any]],
        seconds: float,
        figures: Mapping[str, Interval],
    ) -> None:
        """Write the samples of a pair, and note that it is finished."""
        file = self._file(model, task)
        save_rows(file, samples)
        told = {name: interval.to_json() for name, interval in figures.items()}
        info = {"seconds": seconds, "figures": told}
        self.run.mark_done(_stage(model, task), info, [str(file.relative_to(self.run.directory))])
        self._trace(model, task).unlink(missing_ok=True)
        self.say(f"{model}: {task} is done, in {seconds:.0f} s")

    def failed(self, model: str, task: str, error: Exception) -> str:
        """Write where an error was raised, and return the error in a line."""
        trace = "".join(traceback.format_exception(error))
        atomic_write_text(self._trace(model, task), trace)
        self.say(f"{model}: {task} failed")
        if isinstance(error, NeatError):
            return f"{error.given}: {error.why}"
        return f"{type(error).__name__}: {first_line(error)}"

    def missing(self, models: Iterable[str], tasks: Sequence[str]) -> set[str]:
        """Return the models of which a pair is to be asked."""
        return {model for model in models if not all(self.has(model, task) for task in tasks)}

    def _file(self, model: str, task: str) -> Path:
        return samples_path(self.run.directory, model, task)

    def _trace(self, model: str, task: str) -> Path:
        return self.run.path(FAILED, task, f"{model}.txt")


def _stage(model: str, task: str) -> str:
    return f"{model}/{task}"
