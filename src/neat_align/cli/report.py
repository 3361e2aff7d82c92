"""`neat report`: the page again, from the files of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neat_align.content import changes
from neat_align.errors import OutputError
from neat_align.recipe import Recipe
from neat_align.runs import MANIFEST, RunDirectory


def rebuild(directory: Path) -> Path:
    """Write DIR/report.html.

    Raises:
        OutputError: the directory is no run, or was not evaluated.
    """
    run = RunDirectory(directory)
    for name, stage in ((MANIFEST, "run"), ("evaluation.json", "evaluate")):
        if not run.path(name).exists():
            raise OutputError(
                f"directory {directory}",
                f"it has no {name}",
                f"finish `neat {stage}` there first",
            )
    settings = run.manifest()["recipe"]
    if "demo" in settings:
        from neat_align.demo import report

        report(_recipe(settings["demo"], run), run)
    else:
        from neat_align.pipeline import report as pipeline_report

        pipeline_report(_recipe(settings, run), run)
    run.rewritten("report.html")
    return run.path("report.html")


def changed_since(directory: Path) -> list[str]:
    """What the run was made from and is another thing now; the page quotes what it was."""
    sources = RunDirectory(directory).manifest()["sources"]
    return [line for lines in changes(sources).values() for line in lines]


def _recipe(settings: dict[str, Any], run: RunDirectory) -> Recipe:
    """The run's recipe, with the texts that were in force."""
    from neat_align.pipeline import as_it_was

    return as_it_was(Recipe.model_validate(settings), run)
