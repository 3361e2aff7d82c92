"""Groups sampled for steps to come, as a checkpoint keeps them: one file per rank."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from neat_align.data import load_groups, save_groups
from neat_align.types import Group


def save_pending(folder: Path, rank: int, batches: Sequence[Sequence[Group]]) -> None:
    """Leave a rank's batches in a checkpoint."""
    path = _file(folder, rank)
    save_groups(path, [group for batch in batches for group in batch])
    sizes = json.dumps([len(batch) for batch in batches])
    path.with_suffix(".sizes.json").write_text(sizes, encoding="utf-8")


def load_pending(folder: Path, rank: int) -> list[list[Group]]:
    """The batches that `save_pending` left."""
    path = _file(folder, rank)
    sizes = json.loads(path.with_suffix(".sizes.json").read_text(encoding="utf-8"))
    groups = iter(load_groups(path)) if any(sizes) else iter(())
    return [[next(groups) for _ in range(size)] for size in sizes]


def _file(folder: Path, rank: int) -> Path:
    return folder / f"pending_groups_{rank}.jsonl"
