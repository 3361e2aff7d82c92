"""Queries that a server did not answer, or a judge did not grade: left out, counted, told.

One of them stops nothing: its batch is smaller by a group, and the mean is over the others.
A refresh of which nothing is left is an error.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch

from neat_align.errors import TrainingError
from neat_align.types import Group, Query

METRIC = "sampling/unanswered"
"""Share of a refresh's queries that were left out."""
SHOWN = 3  # reasons

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


def left_out_share(
    accelerator: Any, made: Sequence[Group], queries: Sequence[Query], why: Mapping[str, str]
) -> float:
    """The share of the refresh's queries without a group, over all ranks, which all call it.

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


def dealt(groups: Sequence[Item], sizes: Sequence[int]) -> list[list[Item]]:
    """The groups in as many batches, of these sizes, or evenly where some are missing."""
    if len(groups) != sum(sizes):
        whole, rest = divmod(len(groups), len(sizes))
        sizes = [whole + (i < rest) for i in range(len(sizes))]
    left = iter(groups)
    return [[next(left) for _ in range(size)] for size in sizes]
