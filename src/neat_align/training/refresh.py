"""Count the queries of a refresh that have no group, and keep the groups that wait.

A query that a server did not answer, or a judge did not grade, stops nothing: its batch is
smaller by a group, and the mean is over the others. A refresh of which nothing is left is an
error. Groups for steps to come are kept in a checkpoint, one file per rank.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from neat_align.data import load_groups, save_groups
from neat_align.errors import TrainingError
from neat_align.types import Group, Query

METRIC = "sampling/unanswered"
"""Share of a refresh's queries that were left out."""
SHOWN = 3  # reasons

logger = logging.getLogger(__name__)


def left_out_share(
    accelerator: Any, made: Sequence[Group], queries: Sequence[Query], why: Mapping[str, str]
) -> float:
    """Return the share of queries without a group, over all ranks, which all call it.

    Args:
        why: reasons, by the query's id.

    Raises:
        TrainingError: none has one.
    """
    own = torch.tensor([len(made), len(queries)], device=accelerator.device)
    left, asked = (int(n) for n in accelerator.gather(own).view(-1, 2).sum(0))
    if left == asked:
        return 0.0
    known = {group.query.id for group in made}
    reasons = Counter(
        why.get(query.id, "no reason given") for query in queries if query.id not in known
    )
    told = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(SHOWN))
    if not left:
        raise TrainingError(
            f"a refresh of {asked} queries, none of which was answered and scored",
            f"there is nothing to train on: {told}",
            "see whether the server is well, and what it refuses; then resume",
        )
    if reasons:
        logger.warning("%d of %d queries left out: %s", asked - left, asked, told)
    return 1 - left / asked


def save_pending(folder: Path, rank: int, batches: Sequence[Sequence[Group]]) -> None:
    """Write a rank's batches into a checkpoint."""
    path = _file(folder, rank)
    save_groups(path, [group for batch in batches for group in batch])
    sizes = json.dumps([len(batch) for batch in batches])
    path.with_suffix(".sizes.json").write_text(sizes, encoding="utf-8")


def load_pending(folder: Path, rank: int) -> list[list[Group]]:
    """Read the batches that `save_pending` wrote."""
    path = _file(folder, rank)
    sizes = json.loads(path.with_suffix(".sizes.json").read_text(encoding="utf-8"))
    groups = iter(load_groups(path)) if any(sizes) else iter(())
    return [[next(groups) for _ in range(size)] for size in sizes]


def _file(folder: Path, rank: int) -> Path:
    return folder / f"pending_groups_{rank}.jsonl"
