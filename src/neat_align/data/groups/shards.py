"""A data set in parts, made by any number of processes that know nothing of each other.

A query belongs to a shard by its content, wherever it stands in the input. A shard is
written in parts of some hundred queries, each whole or not at all, so what is killed goes
on with the part it was at. A part is in memory, and eight bytes of each query seen:

    DIRECTORY/run.json
    DIRECTORY/shard-00001-of-00004-part-000000.parquet
    DIRECTORY/shard-00001-of-00004.json                 once the shard is finished

All parts of all shards together are the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from neat_align.data.groups.finished import Finished, mark_finished
from neat_align.data.groups.missing import MISSING, Make, Told, filled, groups_of_part
from neat_align.data.groups.seen import SeenIds
from neat_align.data.groups.wide import read_notes, wide_bytes
from neat_align.errors import DataError, RecipeError
from neat_align.storage.atomic import atomic_write_bytes
from neat_align.storage.paths import is_dir
from neat_align.types import Query

T = TypeVar("T")
PART = 256
"""Queries of one part: what is lost at most when a process is killed."""


@dataclass(frozen=True)
class Shard:
    """One of `count` shards.

    Raises:
        RecipeError: there is no such shard.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise RecipeError(
                f"shard {self.index} of {self.count}",
                "shards are numbered from 0",
                f"use an index from 0 to {max(0, self.count - 1)}",
            )

    def holds(self, query: Query) -> bool:
        """Tell whether the query belongs here; every query belongs to one shard."""
        return int(query.id, 16) % self.count == self.index

    def path(self, directory: Path, part: int) -> Path:
        name = f"shard-{self.index:05d}-of-{self.count:05d}-part-{part:06d}.parquet"
        return directory / name


def write_shard(
    queries: Iterable[Query],
    shard: Shard,
    directory: Path,
    make: Make,
    progress: Callable[[int], None] = lambda count: None,
    told: Told | None = None,
) -> tuple[int, Finished]:
    """Write the shard's parts that are not there yet; the groups made now, and the whole.

    Args:
        queries: of the whole data set, in the same order every time; equal ones count once.
        make: groups of some queries, the same whatever else it is asked.
        progress: told of queries that are done, before or now.
        told: what `make` says of queries without a group; they are asked for again.
    """
    made = number = missing = 0
    once = _Once(queries, shard)
    for number, part in enumerate(_parts(iter(once), PART), 1):
        path = shard.path(directory, number - 1)
        now, left = _write_part(path, part, make, told)
        made, missing = made + now, missing + left
        progress(len(part))
    finished = Finished(number, once.queries, once.repeated, missing)
    mark_finished(directory, shard.index, shard.count, finished)
    return made, finished


def group_files(path: Path) -> list[Path]:
    """List the files of groups at `path`: itself, or a directory's parts in order.

    Raises:
        DataError: a directory without any.
    """
    if not is_dir(path):
        return [path]
    # The hub's layout has them in a folder of their own.
    files = sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
    if not files:
        raise DataError(
            f"directory {path}", "it holds no *.parquet file", "give what `neat sample` wrote"
        )
    return files


def _write_part(
    path: Path, part: Sequence[Query], make: Make, told: Told | None
) -> tuple[int, int]:
    """Write a part, or what it lacks; the groups made now, and the queries without one."""
    if told is None and path.exists():
        return 0, 0
    before = read_notes(path) if path.exists() else {}
    known = groups_of_part(path) if before.get(MISSING) else []
    lacking = before.get(MISSING, {}) if path.exists() else {query.id for query in part}
    if not lacking:
        return 0, 0
    groups, made = filled(part, known, lacking, make)
    if made or not path.exists():
        notes = told.notes(part, groups, before) if told else {}
        atomic_write_bytes(path, wide_bytes(groups, notes))
    return made, len(part) - len(groups)


class _Once:
    """The shard's queries, each once, and how many there were of both kinds."""

    def __init__(self, queries: Iterable[Query], shard: Shard) -> None:
        self.source, self.shard = queries, shard
        self.queries = self.repeated = 0

    def __iter__(self) -> Iterator[Query]:
        seen = SeenIds()
        for query in self.source:
            if not self.shard.holds(query):
                continue
            if seen.add(query.id):
                self.queries += 1
                yield query
            else:
                self.repeated += 1


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
