"""A cell of a comparison, run: align, evaluate, leave figures, cost and every response."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from neat_align.evaluation.results import ModelResult
from neat_align.storage.atomic import atomic_write_json, atomic_write_text
from neat_align.study.cell import Cell
from neat_align.study.memory import PeakMemory
from neat_align.study.methods import PROMPT, UNTRAINED
from neat_align.study.sections import evaluate_section
from neat_align.study.store import Store
from neat_align.workflow.alignment import Alignment
from neat_align.workflow.evaluation import assembly
from neat_align.workflow.places import Places


def run_cell(cell: Cell, store: Store) -> None:
    """Align and evaluate; leave figures, cost and every response."""
    folder, places = store.cell(cell), store.places(cell)
    start = time.perf_counter()
    with PeakMemory() as memory:
        model, cost = _aligned(cell, places)
    train_seconds = time.perf_counter() - start
    found = _evaluated(cell, model, places)
    metrics = places.train / "metrics.jsonl"
    if metrics.exists():
        atomic_write_text(folder / "metrics.jsonl", metrics.read_text(encoding="utf-8"))
    lines = (json.dumps(sample, ensure_ascii=False) + "\n" for sample in found.samples)
    atomic_write_text(folder / "samples.jsonl", "".join(lines))
    shutil.rmtree(places.train, ignore_errors=True)
    result = {
        "variant": cell.variant,
        "method": cell.method,
        "split": cell.split,
        "seed": cell.seed,
        "setting": dict(cell.setting),
        "figures": {name: figure.to_json() for name, figure in found.figures.items()},
        "cost": {**cost, "train_seconds": train_seconds, "peak_memory_bytes": memory.bytes},
        "recipe": cell.recipe.model_dump(mode="json"),
        "sources": cell.sources,
    }
    atomic_write_json(folder / "result.json", result)


def _aligned(cell: Cell, places: Places) -> tuple[Path, dict[str, Any]]:
    """Align; return the model's directory, and the responses and tokens it was trained on."""
    if cell.method in UNTRAINED:
        return Path(places.base), {"responses": 0, "tokens": 0}
    trainer = Alignment(places, trial="off").train()
    tokens = trainer.stopwatch.total_tokens.get("sampling", 0)
    return places.policy, {"responses": trainer.maker.responses, "tokens": tokens}


def _evaluated(cell: Cell, model: Path, places: Places) -> ModelResult:
    """Evaluate a model on the cell's queries."""
    prompts = cell.recipe.pair.positive if cell.method == PROMPT else ()
    models = {cell.method: model}
    section = evaluate_section(cell.recipe)
    asked = assembly(places, section, models, prompts, against=Path(places.base))
    return asked.evaluate().models[cell.method]
