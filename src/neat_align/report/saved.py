"""A page's data from the files that an evaluation or a training left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neat_align.evaluation.results import read_rows
from neat_align.report.build import ReportData
from neat_align.report.cautions import cautions
from neat_align.report.terminal import aligned_model
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import versions as installed

UNEVALUATED = "Nothing was evaluated: this page shows the training alone."
EVALUATION = "evaluation.json"


def saved_data(
    directory: Path,
    title: str,
    steering: Mapping[str, Any],
    settings: Mapping[str, Any],
    metrics: Mapping[str, Path],
    aligned: str = "",
    notes: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
) -> ReportData:
    """Read DIR/evaluation.json, DIR/samples and the files of metrics.

    Args:
        steering: `Steering.to_json()`.
        metrics: metrics.jsonl by method.
        aligned: the model to compare with the base; the first other one by default.
        notes: for the reader, before what the figures warn of.
        versions: of the packages that made the figures; those of here by default.
    """
    path = directory / EVALUATION
    results = read_json(path) if path.exists() else {"models": {}}
    samples = {name: rows(directory / "samples" / f"{name}.jsonl") for name in results["models"]}
    warned = cautions(results, samples) if path.exists() else [UNEVALUATED]
    return ReportData(
        title=title,
        steering=steering,
        results=results,
        samples=samples,
        metrics={name: rows(path) for name, path in metrics.items()},
        settings=settings,
        versions=installed() if versions is None else versions,
        aligned=aligned or aligned_model(results),
        notes=[*notes, *warned],
    )


def rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a JSONL file; none if it is missing."""
    return read_rows(path) if path.exists() else []
