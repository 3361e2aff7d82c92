"""Store cells and the models they share on disk; finished ones are reused.

DIR/models/NAME/            a starting or a reward model; its presence means it is complete
DIR/cells/NAME/result.json  figures, cost and setting of a cell
DIR/cells/NAME/samples.jsonl, metrics.jsonl
DIR/units/NAME.json         how long a unit of work took, or how it failed
DIR/locks/NAME              held while a process works on a unit
"""

from __future__ import annotations

import contextlib
import fcntl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neat_align.storage.atomic import atomic_write_json, read_json
from neat_align.study.cell import Cell, artefacts
from neat_align.workflow.places import Places


class Store:
    """The directory of a comparison."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def model(self, name: str) -> Path:
        return self.directory / "models" / name

    def cell(self, cell: Cell) -> Path:
        return self.directory / "cells" / cell.name

    def places(self, cell: Cell) -> Places:
        """Return where a cell's models lie: those it shares, and its own while it runs."""
        trained = {role: self.model(name) for role, name in artefacts(cell).items()}
        train = self.cell(cell) / "train"
        return Places(cell.recipe, trained, train, train / "policy")

    def result(self, cell: Cell) -> dict[str, Any] | None:
        """Return what a finished cell found; None while it is not finished or has failed."""
        path = self.cell(cell) / "result.json"
        return read_json(path) if path.exists() else None

    def record(self, unit: str) -> dict[str, Any] | None:
        """Return `seconds` of a finished unit or `error` of a failed one; None before either."""
        path = self._record(unit)
        return read_json(path) if path.exists() else None

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the records of all units that finished or failed."""
        folder = self.directory / "units"
        return {p.stem: read_json(p) for p in sorted(folder.glob("*.json"))}

    def finished(self, unit: str, seconds: float) -> None:
        atomic_write_json(self._record(unit), {"seconds": seconds})

    def failed(self, unit: str, error: BaseException | str) -> None:
        """Keep an error: the table shows it, and the rest goes on."""
        if isinstance(error, str):
            told = {"error": error, "traceback": ""}
        else:
            lines = "".join(traceback.format_exception(error))
            told = {"error": f"{type(error).__name__}: {error}", "traceback": lines}
        atomic_write_json(self._record(unit), told)

    def forget_failures(self) -> None:
        """Forget what failed, so that it is tried again."""
        for unit, record in self.records().items():
            if "error" in record:
                self._record(unit).unlink()

    @contextlib.contextmanager
    def claimed(self, unit: str) -> Iterator[bool]:
        """Claim a unit until the block or the process ends; tell whether this process has it."""
        path = self.directory / "locks" / unit
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _record(self, unit: str) -> Path:
        return self.directory / "units" / f"{unit}.json"
