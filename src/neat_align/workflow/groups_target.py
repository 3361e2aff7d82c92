"""Where `neat sample` and `neat score` write: one file, or a directory of parts."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from neat_align.errors import DataError, OutputError
from neat_align.storage.artefacts import digest

if TYPE_CHECKING:
    from neat_align.data.groups.missing import Told
    from neat_align.data.groups.shards import Shard
    from neat_align.provenance import Source
    from neat_align.types import Group, Query

    Make = Callable[[Sequence[Query]], Sequence[Group]]

THERE = ", the others were there"


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
        """The file where answers of a server are kept as they come."""
        if self.in_parts:
            return self.output / f".journal-{self.shard.index:05d}.jsonl"
        return self.output.with_name(f".{self.output.name}.journal.jsonl")

    def check(self, settings: Mapping[str, Any], sources: Mapping[str, Source]) -> None:
        """Refuse an output that cannot be written, or that something else has begun.

        Args:
            sources: what the settings name, by their keys; a change of content is refused.

        Raises:
            OutputError: a file that exists or says no format; a directory of something else.
        """
        from neat_align.data import check_groups_path
        from neat_align.data.groups.missing import goes_on
        from neat_align.provenance import keep, recorded
        from neat_align.storage.runs import RunDirectory

        if self.in_parts:
            keep(RunDirectory.open(self.output, settings, True, recorded(sources)), sources)
            return
        if self.shard.count > 1:
            raise OutputError(
                f"output {self.output} with {self.shard.count} shards",
                "shards need a directory to share",
                f"name a directory, e.g. {self.output.with_suffix('')}/",
            )
        if self.output.exists() and not goes_on(self.output, by_content(settings, sources)):
            raise OutputError(
                f"output {self.output}", "it exists", "name another, or remove it first"
            )
        check_groups_path(self.output)

    @staticmethod
    def made_by(groups: Path) -> Any:
        """Read what decided the groups of a directory; None where it does not say."""
        from neat_align.storage.identity import without_places
        from neat_align.storage.runs import MANIFEST, RunDirectory

        if not (groups / MANIFEST).exists():
            return None
        manifest = RunDirectory(groups).manifest()
        sources = manifest["sources"]
        content = {place: source["content"] for place, source in sources.items()}
        return {**without_places(manifest["recipe"], sources), "content": content}

    def check_source(self, groups: Path) -> None:
        """Look at the groups to be read: parts become parts, and a file becomes a file.

        Raises:
            DataError: there are none, or a file that holds something else; or a part of the
                output was made of other groups than are there now.
            OutputError: a directory is to become a file, or a file a directory.
        """
        from neat_align.data import load_groups
        from neat_align.data.groups.shards import group_files

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
        """Count the shard's different queries, every row looked at.

        Raises:
            DataError: rows that cannot be used; several are reported at once.
        """
        from neat_align.data import DataSpec
        from neat_align.data.datasets import check_queries

        return check_queries(DataSpec(queries), self.shard.holds)

    def check_answers(self, queries: Path) -> None:
        """Raise a `DataError` where no row has an answer that could join its group."""
        from neat_align.data import DataSpec, read_queries

        known = read_queries(DataSpec(queries))
        if not any(q.meta.get("chosen") or q.meta.get("rejected") for q in known):
            raise DataError(
                f"--data-answers with {queries}",
                "none of its rows has a chosen or rejected answer to add",
                "give rows with these columns, or leave the option out",
            )

    def write_queries(
        self,
        queries: Path,
        make: Make,
        progress: Callable[[int], None],
        told: Told,
        settings: Mapping[str, Any],
    ) -> str:
        """Write groups for the shard's queries; tell how many, in words.

        Args:
            told: what `make` says of queries without a group.
            settings: by which a file is known again that lacks some.
        """
        from neat_align.data import DataSpec, load_queries, read_queries
        from neat_align.data.groups.missing import told_of
        from neat_align.data.groups.shards import write_shard

        if self.in_parts:
            rows = read_queries(DataSpec(queries))
            made, whole = write_shard(rows, self.shard, self.output, make, progress, told)
            words = f"{made} groups" + THERE * (made + whole.missing < whole.queries)
            words += f"; {whole.repeated} rows repeat a query" if whole.repeated else ""
            return words + told_of(whole.missing, "an answer")
        found = load_queries(DataSpec(queries))
        made, missing = self._write_file(found, make, told, settings)
        progress(len(found))
        return f"{made} groups{told_of(missing, 'an answer')}"

    def _write_file(
        self, queries: Sequence[Query], make: Make, told: Told, settings: Mapping[str, Any]
    ) -> tuple[int, int]:
        """Write one file of groups, or what it lacks; count its groups, and queries without."""
        from neat_align.data import load_groups, save_groups
        from neat_align.data.groups.missing import MISSING, filled, note_beside, notes_of

        if self.output.exists():
            before = notes_of(self.output)
            known, lacking = load_groups(self.output), before[MISSING]
            groups, _ = filled(queries, known, lacking, make)
        else:
            before, groups = {}, list(make(queries))
        save_groups(self.output, groups)
        notes = told.notes(queries, groups, before)
        note_beside(self.output, settings, notes)
        return len(groups), len(notes.get(MISSING, ()))

    def write_groups(
        self,
        groups: Path,
        make: Callable[[Sequence[Group]], tuple[list[Group], Counter[str]]],
        unscored: Mapping[str, str] = MappingProxyType({}),
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[str, Counter[str]]:
        """Write groups made of others, part by part.

        Args:
            make: also counts what it left out, by reason.
            unscored: why groups that `make` was given have no scores, by their query's id.
            settings: by which a file is known again that lacks some.

        Returns:
            How many, in words; and what was left out in all, by this or an earlier call.
        """
        from neat_align.data import load_groups, save_groups
        from neat_align.data.groups.finished import carry_marks
        from neat_align.data.groups.missing import (
            MISSING,
            UNSCORED,
            groups_of_part,
            note_beside,
            notes_of,
            told_of,
        )
        from neat_align.data.groups.shards import group_files

        if not self.in_parts:
            given = load_groups(groups)
            made, dropped = make(given)
            lacking = _of(unscored, given)
            notes = {"dropped": dropped, UNSCORED: lacking}
            save_groups(self.output, made, notes)
            note_beside(self.output, settings, notes if lacking else {})
            return f"{len(made)} groups{told_of(len(lacking), 'a score')}", dropped
        count, dropped, left, there = 0, Counter[str](), 0, False
        for file in filter(self._is_ours, group_files(groups)):
            path = self.output / file.name
            source = digest(file)
            there |= (known := _is_made_of(path, source))
            if not known:
                given = groups_of_part(file)
                made, left_out = make(given)
                lacks = notes_of(file).get(MISSING, {})
                notes = {"source": source, "dropped": left_out, MISSING: lacks}
                save_groups(path, made, {**notes, UNSCORED: _of(unscored, given)})
                count += len(made)
            found = notes_of(path)
            dropped.update(found["dropped"])
            left += len(found.get(UNSCORED, ()))
        carry_marks(group_files(groups)[0].parent, self.output)
        return f"{count} groups{THERE * there}{told_of(left, 'a score')}", dropped

    def _is_ours(self, file: Path) -> bool:
        """Tell whether the shard has this part; it stays so while other parts are still to come.

        The numbers in parts' names count up, so shards get as many of them, give or take one.
        """
        numbers = re.findall(r"\d+", file.stem)
        number = sum(map(int, numbers)) if numbers else zlib.crc32(file.name.encode())
        return number % self.shard.count == self.shard.index


def _of(reasons: Mapping[str, str], groups: Sequence[Group]) -> dict[str, str]:
    """Pick the reasons that are these groups'."""
    return {g.query.id: reasons[g.query.id] for g in groups if g.query.id in reasons}


def _is_made_of(path: Path, source: str) -> bool:
    """Tell whether a part is there, whole, and made of this source (else it would not do)."""
    from neat_align.data.groups.missing import MISSING, UNSCORED, notes_of

    if not path.exists():
        return False
    notes = notes_of(path)
    grown = bool(notes.get(MISSING)) and notes["source"] != source
    return not notes.get(UNSCORED) and not grown


def by_content(settings: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, Any]:
    """Return settings by which a file of groups is known again: by content, not by name."""
    from neat_align.provenance import contents
    from neat_align.storage.identity import without_places

    return {**without_places(settings, sources), "content": contents(sources)}


def _check_made_of(path: Path, source: Path) -> None:
    from neat_align.data.groups.missing import MISSING
    from neat_align.data.groups.wide import check_wide, read_notes

    check_wide(path)
    notes = read_notes(path)
    if notes.get(MISSING):
        return  # groups that were missing there may have come since
    if notes.get("source") != digest(source):
        raise DataError(
            f"part {path}",
            f"it was made of another {source.name} than {source}",
            "name a new directory, or remove the part: it is then made again",
        )
