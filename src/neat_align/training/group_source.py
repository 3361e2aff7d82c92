"""Give a training its groups: drawn from the policy as it learns, or stored beforehand.

The trainer asks one `GroupSource`, chosen when it is made, and does not know which it is.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from neat_align.sampling.groups import draw_seed
from neat_align.training.entries import Entries
from neat_align.training.group_maker import ScoredGroupMaker, trainable
from neat_align.training.metrics import group_metrics
from neat_align.training.notes import Notes
from neat_align.training.refresh import METRIC, left_out_share, load_pending, save_pending
from neat_align.training.run_signal import ScoreSignal
from neat_align.training.split_groups import Splitter
from neat_align.training.steering_trial import FirstTrial
from neat_align.types import Group, Query

Item = TypeVar("Item")
Batches = Iterator[list[Any]]
"""Micro-batches of the training data's records, in the order of the epoch."""


class GroupSource(Protocol):
    """Where the groups of a training come from.

    Attributes:
        entries: makes token ids of its groups, and of held-out ones.
    """

    entries: Entries

    @property
    def trial(self) -> FirstTrial | None:
        """The trial of the steering pair; None where nothing is drawn."""

    def begin(self) -> None:
        """Forget what an earlier training in this process left."""

    def batches(self, records: Batches, count: int, step: int) -> list[list[Group]]:
        """Return the groups of one optimiser step; all ranks call it together.

        Args:
            count: micro-batches of the step.
        """

    def save(self, folder: Path, rank: int) -> None:
        """Write into a checkpoint what this rank needs to go on."""

    def load(self, folder: Path, rank: int) -> None:
        """Go on from what `save` wrote."""


@dataclass
class Online:
    """Samples and scores the queries of `refresh_every` steps together, by the policy as it is.

    Attributes:
        trial: of the steering pair, before the first groups are drawn.
        pending: micro-batches of steps to come.
        resumed: of them, those whose queries the epoch gives once more after a resumption.
    """

    maker: ScoredGroupMaker
    entries: Entries
    notes: Notes
    trial: FirstTrial
    accelerator: Any
    pending: list[list[Group]] = field(default_factory=list)
    resumed: int = 0

    def __post_init__(self) -> None:
        self.splitter = Splitter(self.maker, self.entries.args, self.notes, self.accelerator)

    def begin(self) -> None:
        self.pending, self.resumed = [], 0

    def batches(self, records: Batches, count: int, step: int) -> list[list[Group]]:
        for _ in range(self.resumed):
            next(records)
        self.resumed = 0
        self.trial.run_before(step)
        self.splitter.check_border()
        if not self.pending:
            several = count * self.entries.args.refresh_every
            self.pending = self._refresh(list(islice(records, several)), step)
        now, self.pending = self.pending[:count], self.pending[count:]
        return now

    def _refresh(self, batches: list[list[Query]], step: int) -> list[list[Group]]:
        """Sample and score the queries of several batches together, and split them again."""
        queries, means = list(chain.from_iterable(batches)), self.notes.means
        means.add(self.maker.renew(queries), len(queries))
        seed = draw_seed(self.entries.args.seed, step)
        made = self.maker.make(queries, seed)
        self.notes.add_scored(made, self.maker.scorers)
        share = left_out_share(self.accelerator, made, queries, self.maker.unanswered)
        means.add({METRIC: share} if share else {}, len(queries))
        groups = trainable(self.splitter.completed(made, seed), warnings.warn)
        means.add_weighted(group_metrics(groups))
        kept = self.splitter.kept(groups)
        processes, left_out = self.accelerator.num_processes, len(groups) - len(kept)
        self.notes.signal.add(kept, processes, left_out).note(means)
        return dealt(kept, [len(batch) for batch in batches])

    def save(self, folder: Path, rank: int) -> None:
        save_pending(folder, rank, self.pending)
        _save_signal(self.notes.signal, folder, rank)

    def load(self, folder: Path, rank: int) -> None:
        self.pending = load_pending(folder, rank)
        self.resumed = len(self.pending)
        _load_signal(self.notes.signal, folder, rank)


class Stored:
    """Gives the groups as they are; they come back every epoch."""

    trial = None

    def __init__(self, entries: Entries, notes: Notes) -> None:
        self.entries, self.notes = entries, notes
        entries.keep()
        notes.signal.calibrate(entries.records)

    def begin(self) -> None:
        """Nothing is left of a training before."""

    def batches(self, records: Batches, count: int, step: int) -> list[list[Group]]:
        batches = list(islice(records, count))
        groups = list(chain.from_iterable(batches))
        self.notes.signal.figures(groups).note(self.notes.means)
        return batches

    def save(self, folder: Path, rank: int) -> None:
        _save_signal(self.notes.signal, folder, rank)

    def load(self, folder: Path, rank: int) -> None:
        _load_signal(self.notes.signal, folder, rank)


def dealt(groups: Sequence[Item], sizes: Sequence[int]) -> list[list[Item]]:
    """Deal the groups into batches of these sizes, or evenly where some are missing."""
    if len(groups) != sum(sizes):
        whole, rest = divmod(len(groups), len(sizes))
        sizes = [whole + (i < rest) for i in range(len(sizes))]
    left = iter(groups)
    return [[next(left) for _ in range(size)] for size in sizes]


def _save_signal(signal: ScoreSignal, folder: Path, rank: int) -> None:
    """Write what the scores have told so far, the same on every rank."""
    told = json.dumps(signal.state())
    (folder / f"signal_{rank}.json").write_text(told, encoding="utf-8")


def _load_signal(signal: ScoreSignal, folder: Path, rank: int) -> None:
    signal.restore(json.loads((folder / f"signal_{rank}.json").read_text(encoding="utf-8")))
