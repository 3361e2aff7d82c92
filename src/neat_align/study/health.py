"""The cells of a comparison and its units of work, and which of them are damaged or failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neat_align.errors import InputError
from neat_align.storage.atomic import read_json
from neat_align.study.store import Store
from neat_align.workflow.health import Finding


def findings(directory: Path) -> Iterator[Finding]:
    """Yield how each cell is, and the units that failed."""
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
