"""Batches of rows of similar length, so that little of a batch is padding."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

STRETCH = 32  # batches sorted together


class SimilarLength(Sampler[int]):
    """Shuffles, sorts by length within stretches of 32 batches, and shuffles the batches.

    Args:
        lengths: of each row.
        batch_size: rows in a batch.
        seed: with the epoch, fixes the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed}-{self.epoch}")
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        stretch = STRETCH * self.batch_size
        for start in range(0, len(order), stretch):
            part = sorted(order[start : start + stretch], key=self.lengths.__getitem__)
            batches = [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
            rng.shuffle(batches)
            yield from (index for batch in batches for index in batch)
