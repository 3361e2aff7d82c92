"""Where `neat sample` and `neat score` write: one file, or a directory of parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.errors import OutputError

if TYPE_CHECKING:
    from neat_align.data.shards import Shard
    from neat_align.types import Group, Query

    Make = Callable[[Sequence[Query]], Sequence[Group]]


class DropKind(StrEnum):
    """Responses that can be left out."""

    DUPLICATE = "duplicate"
    EMPTY = "empty"
    TRUNCATED = "truncated"


class GroupsTarget:
    """The output of a stage: a file is written at once, a directory part by part.

    A name without a suffix is a directory's.
    """

    def __init__(self, output: Path, shard: Shard) -> None:
        self.output, self.shard = output, shard
        self.in_parts = output.is_dir() or not output.suffix

    @property
    def journal(self) -> Path:
        """Where answers of a server are kept as they come."""
        if self.in_parts:
            return self.output / f".journal-{self.shard.index:05d}.jsonl"
        return self.output.with_name(f".{self.output.name}.journal.jsonl")

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse an output that cannot be written, or that other settings have begun.

        Raises:
            OutputError: a file that exists or says no format; a directory of something else.
        """
        from neat_align.data import check_groups_path
        from neat_align.runs import RunDirectory

        if self.in_parts:
            RunDirectory.open(self.output, settings, resume=True)
            return
        if self.shard.count > 1:
            raise OutputError(
                f"output {self.output} with {self.shard.count} shards",
                "shards need a directory to share",
                f"name a directory, e.g. {self.output.with_suffix('')}/",
            )
        if self.output.exists():
            raise OutputError(
                f"output {self.output}", "it exists", "name another, or remove it first"
            )
        check_groups_path(self.output)

    def check_source(self, groups: Path) -> None:
        """Look at the groups to be read: parts become parts, and a file becomes a file.

        Raises:
            DataError: there are none, or a file that holds something else.
            OutputError: a directory is to become a file, or a file a directory.
        """
        from neat_align.data import load_groups
        from neat_align.data.shards import group_files

        files = group_files(groups)
        if self.in_parts != groups.is_dir() and groups.exists():
            raise OutputError(
                f"output {self.output} for {groups}",
                "a directory of parts becomes a directory, a file becomes a file",
                "name the output alike",
            )
        if not self.in_parts:
            self.groups = load_groups(files[0])

    def count(self, queries: Path) -> int:
        """The shard's different queries, every row looked at.

        Raises:
            DataError: rows that cannot be used; several are reported at once.
        """
        from neat_align.data import DataSpec
        from neat_align.data.datasets import check_queries

        return check_queries(DataSpec(queries), self.shard.holds)

    def write_queries(self, queries: Path, make: Make, progress: Callable[[int], None]) -> str:
        """Groups for the shard's queries; tells how many, in words."""
        from neat_align.data import DataSpec, load_queries, read_queries, save_groups
        from neat_align.data.shards import write_shard

        if self.in_parts:
            rows = read_queries(DataSpec(queries))
            made = write_shard(rows, self.shard, self.output, make, progress)
            return f"{made} groups, the others were there"
        found = load_queries(DataSpec(queries))
        save_groups(self.output, make(found))
        progress(len(found))
        return f"{len(found)} groups"

    def write_groups(self, groups: Path, make: Callable[[Sequence[Group]], list[Group]]) -> str:
        """Groups made of others, part by part; tells how many, in words."""
        from neat_align.data import load_groups, save_groups
        from neat_align.data.shards import group_files

        if not self.in_parts:
            made = make(self.groups)
            save_groups(self.output, made)
            return f"{len(made)} groups"
        count = 0
        files = group_files(groups)[self.shard.index :: self.shard.count]
        for file in files:
            path = self.output / file.name
            if not path.exists():
                made = make(load_groups(file))
                save_groups(path, made)
                count += len(made)
        return f"{count} groups, the others were there"
