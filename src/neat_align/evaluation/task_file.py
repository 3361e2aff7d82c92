"""A benchmark's file: which of its queries are asked, and which are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neat_align.errors import DataError
from neat_align.evaluation.task import Generate, Task
from neat_align.sampling.groups import stable_seed
from neat_align.texts import folded
from neat_align.types import Query


@dataclass(frozen=True)
class TaskFile:
    """The user's file of a benchmark.

    Attributes:
        path: where it is.
        limit: queries asked at most, drawn by the evaluation's seed; all when None.
        max_new_tokens: of an answer; those of the evaluation when None.
    """

    path: Path
    limit: int | None = None
    max_new_tokens: int | None = None

    def given_to(self, task: Task, seed: int, trained: Collection[str]) -> Task:
        """Give a task the file's queries; the same ones whatever their order in the file.

        Args:
            seed: of the draw.
            trained: folded texts that stand in no query that is asked; see `texts_of`.

        Raises:
            DataError: the file cannot be read, or there are no answers to be of some length.
        """
        whole = self._answered(task).of(self.path)
        new = [query for query in whole.queries if folded(query.text) not in trained]
        told = {**whole.told, "trained": len(whole.queries) - len(new)}
        if self.limit is not None:
            new, told["limit"] = drawn(new, self.limit, seed), self.limit
        return replace(whole, queries=tuple(new), told=told)

    def _answered(self, task: Task) -> Task:
        if self.max_new_tokens is None:
            return task
        if not isinstance(task.answered, Generate):
            given = f"task {task.name} with max_new_tokens={self.max_new_tokens}"
            raise DataError(given, "nothing is sampled for it", "leave max_new_tokens out")
        return replace(task, answered=replace(task.answered, max_new_tokens=self.max_new_tokens))


def texts_of(queries: Iterable[Query]) -> set[str]:
    """Return the texts of queries, folded, as `TaskFile.given_to` looks for them."""
    return {folded(query.text) for query in queries}


def drawn(queries: Sequence[Query], limit: int, seed: int) -> list[Query]:
    """Draw some of the queries by their content and a seed, and keep their order."""
    by_lot = sorted(queries, key=lambda query: stable_seed("task", seed, query.id))
    kept = {query.id for query in by_lot[:limit]}
    return [query for query in queries if query.id in kept]
