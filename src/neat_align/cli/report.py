"""`neat report`: the page again, from the files of a finished run."""

from __future__ import annotations

from pathlib import Path

from neat_align.atomic import read_json
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
    manifest = read_json(run.path(MANIFEST))["recipe"]
    if "demo" in manifest:
        from neat_align.demo import report

        report(Recipe.model_validate(manifest["demo"]), run)
    else:
        from neat_align.pipeline import report as pipeline_report

        pipeline_report(Recipe.model_validate(manifest), run)
    run.rewritten("report.html")
    return run.path("report.html")
