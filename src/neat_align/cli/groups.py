"""Where `neat sample` and `neat score` write: one file, or a directory of parts."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.artefacts import digest
from neat_align.errors import DataError, OutputError

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

    @staticmethod
    def made_by(groups: Path) -> Any:
        """The settings with which a directory of groups was made; None where it does not say."""
        from neat_align.atomic import read_json
        from neat_align.runs import MANIFEST

        manifest = groups / MANIFEST
        return read_json(manifest)["recipe"] if manifest.exists() else None

    def check_source(self, groups: Path) -> None:
        """Look at the groups to be read: parts become parts, and a file becomes a file.

        Raises:
            DataError: there are none, or a file that holds something else; or a part of the
                output was made of other groups than are there now.
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
            load_groups(files[0])
            return
        for file in filter(self._is_ours, files):
            if (self.output / file.name).exists():
                _check_made_of(self.output / file.name, file)

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
            made, whole = write_shard(rows, self.shard, self.output, make, progress)
            told = f"{made} groups, the others were there"
            return told + (f"; {whole.repeated} rows repeat a query" if whole.repeated else "")
        found = load_queries(DataSpec(queries))
        save_groups(self.output, make(found))
        progress(len(found))
        return f"{len(found)} groups"

    def write_groups(
        self, groups: Path, make: Callable[[Sequence[Group]], tuple[list[Group], Counter[str]]]
    ) -> tuple[str, Counter[str]]:
        """Groups made of others, part by part.

        Args:
            make: also counts what it left out, by reason.

        Returns:
            How many, in words; and what was left out in all, by this or an earlier call.
        """
        from neat_align.data import load_groups, save_groups
        from neat_align.data.finished import carry_marks
        from neat_align.data.shards import group_files
        from neat_align.data.wide import read_notes

        if not self.in_parts:
            made, dropped = make(load_groups(groups))
            save_groups(self.output, made, {"dropped": dropped})
            return f"{len(made)} groups", dropped
        count, dropped = 0, Counter[str]()
        for file in filter(self._is_ours, group_files(groups)):
            path = self.output / file.name
            if not path.exists():
                made, left_out = make(load_groups(file))
                save_groups(path, made, {"source": digest(file), "dropped": left_out})
                count += len(made)
            dropped.update(read_notes(path)["dropped"])
        carry_marks(group_files(groups)[0].parent, self.output)
        return f"{count} groups, the others were there", dropped

    def _is_ours(self, file: Path) -> bool:
        """Whether the shard has this part; it stays so while other parts are still to come.

        The numbers in parts' names count up, so shards get as many of them, give or take one.
        """
        numbers = re.findall(r"\d+", file.stem)
        number = sum(map(int, numbers)) if numbers else zlib.crc32(file.name.encode())
        return number % self.shard.count == self.shard.index


def _check_made_of(path: Path, source: Path) -> None:
    from neat_align.data.wide import check_wide, read_notes

    check_wide(path)
    if read_notes(path).get("source") != digest(source):
        raise DataError(
            f"part {path}",
            f"it was made of another {source.name} than {source}",
            "name a new directory, or remove the part: it is then made again",
        )
