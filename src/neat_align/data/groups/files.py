"""Groups in files: JSONL (also .gz) and Parquet, alone or as the parts of a directory."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from neat_align.data.files import read_rows
from neat_align.data.groups.finished import check_finished
from neat_align.data.groups.shards import group_files
from neat_align.data.groups.wide import check_wide, group_of_wide, json_text, wide_bytes
from neat_align.errors import DataError, OutputError, not_a_group
from neat_align.storage.atomic import atomic_write_bytes, atomic_write_text
from neat_align.storage.paths import is_file
from neat_align.types import Group

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


def save_groups(
    path: Path | str, groups: Sequence[Group], notes: Mapping[str, Any] | None = None
) -> None:
    """Write groups as JSONL (also .gz) or Parquet, by the suffix; whole or not at all.

    Args:
        notes: kept in a Parquet file's metadata; the other formats have no place for them.

    Raises:
        OutputError: the suffix is none of these, or the file cannot be written.
    """
    path = Path(path)
    check_groups_path(path)
    if path.suffix == ".parquet":
        atomic_write_bytes(path, wide_bytes(groups, notes))
        return
    text = "".join(json_text(group.to_json()) + "\n" for group in groups)
    if path.suffix == ".gz":
        atomic_write_bytes(path, gzip.compress(text.encode(), mtime=0))
    else:
        atomic_write_text(path, text)


def check_groups_path(path: Path | str) -> None:
    """Raise what `save_groups` would say of the suffix; for before the work is done."""
    name = Path(path).name
    if not name.endswith(SUFFIXES):
        raise OutputError(
            f"output {path}",
            "its suffix does not tell a format for groups",
            f"end it with {', '.join(SUFFIXES)}",
        )


def load_groups(path: Path | str) -> list[Group]:
    """Read all groups at `path`; see `read_groups`."""
    return list(read_groups(path))


def read_groups(path: Path | str, unfinished: bool = False) -> Iterator[Group]:
    """Yield the groups of a file that `save_groups` wrote, or of a directory of parts.

    Args:
        unfinished: take a directory as it is, too, of which shards are still being written.

    Raises:
        DataError: it is missing, holds something else, or is not the whole data set.
    """
    files = group_files(Path(path))
    if not unfinished and files != [Path(path)]:
        check_finished(files[0].parent)
    for file in files:
        convert: Callable[[Mapping[str, Any]], Group] = Group.from_json
        if file.suffix == ".parquet" and is_file(file):
            rows = check_wide(file)
            convert = group_of_wide
            if not rows and file != Path(path):
                continue  # a part of which nothing was kept
        for place, row in read_rows(file):
            try:
                yield convert(row)
            except DataError as error:
                raise DataError(f"{place}: {error.given}", error.why, error.fix) from error
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                fix = "give what `neat sample` or `neat score` wrote"
                raise DataError(place, not_a_group(error), fix) from error
