"""`neat report`: the page of a run, a training, an evaluation or a comparison, from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neat_align.errors import OutputError
from neat_align.prompts.steering import STEERING_FILE, saved_steering
from neat_align.provenance import changes
from neat_align.recipe import Recipe
from neat_align.report import build_report, saved_data
from neat_align.report.saved import EVALUATION
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import MANIFEST, RunDirectory

COMPARISON = "comparison.json"
PAGE = "report.html"
KIND = "evaluation"  # of what is no run of a recipe


def rebuild(directory: Path) -> Path:
    """Write DIR/report.html, or a comparison's pages.

    Raises:
        OutputError: the directory holds nothing that a page could show.
    """
    if (directory / COMPARISON).exists():
        from neat_align.study import page

        page.write(directory, read_json(directory / COMPARISON))
        return directory / PAGE
    if (directory / EVALUATION).exists() and not _is_run(directory):
        return evaluation_page(directory)
    if _is_run(directory):
        return _run_page(directory)
    raise OutputError(
        f"directory {directory}",
        f"it has none of {MANIFEST}, {EVALUATION} and {COMPARISON}",
        "name what `neat run`, `neat train`, `neat evaluate` or `neat compare` wrote to",
    )


def _is_run(directory: Path) -> bool:
    """Tell what a recipe's run left from what `neat evaluate` did."""
    manifest = directory / MANIFEST
    return manifest.exists() and read_json(manifest).get("recipe", {}).get("kind") != KIND


def evaluation_page(directory: Path) -> Path:
    """Write the page of what `neat evaluate` left."""
    results = read_json(directory / EVALUATION)
    is_told = (directory / STEERING_FILE).exists()
    steering = saved_steering(directory).to_json() if is_told else {"name": results["steering"]}
    data = saved_data(directory, "An evaluation", steering, results.get("asked", {}), {})
    build_report(directory / PAGE, data)
    return directory / PAGE


def _run_page(directory: Path) -> Path:
    run = RunDirectory(directory)
    settings = dict(run.manifest()["recipe"])
    if not run.path(EVALUATION).exists() and not run.path("train", "metrics.jsonl").exists():
        raise OutputError(
            f"directory {directory}",
            f"it has no {EVALUATION} and no train/metrics.jsonl: nothing was trained yet",
            "finish `neat run` or `neat train` there first, with --resume",
        )
    recipe = _recipe(settings.get("demo", settings), run)
    if "demo" in settings:
        from neat_align.study import demo

        demo.report(recipe, run)
    else:
        from neat_align.workflow import stages

        stages.report(recipe, run)
    run.rewritten(PAGE)
    return run.path(PAGE)


def changed_since(directory: Path) -> list[str]:
    """List what the run was made from and is another thing now; the page quotes what it was."""
    sources = RunDirectory(directory).sources()
    if (directory / EVALUATION).exists():
        sources |= read_json(directory / EVALUATION).get("sources", {})
    return [line for lines in changes(sources).values() for line in lines]


def _recipe(settings: dict[str, Any], run: RunDirectory) -> Recipe:
    """Return the run's recipe, with the texts that were in force; the groups stand beside it."""
    from neat_align.workflow.pipeline import as_it_was

    known = {name: value for name, value in settings.items() if name in Recipe.model_fields}
    return as_it_was(Recipe.model_validate(known), run)
