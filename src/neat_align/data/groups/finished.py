"""Which shards of a directory are finished: without that, a part looks like the whole.

The process that writes a shard's last part leaves `shard-00001-of-00004.json` beside the
parts, with how many there are. Files in the hub's layout say it in their names.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from neat_align.errors import DataError
from neat_align.storage.atomic import atomic_write_json, read_json

MARK = re.compile(r"shard-(\d+)-of-(\d+)\.json")
PART_NAME = re.compile(r"shard-(\d+)-of-(\d+)-part-(\d+)\.parquet")
HUB_NAME = re.compile(r".*-(\d{5})-of-(\d{5})\.parquet")
SHOWN = 5


@dataclass(frozen=True)
class Finished:
    """What a finished shard holds.

    Attributes:
        parts: files.
        queries: different queries; a filter may since have left some of their groups out.
        repeated: rows of the input that repeated an earlier query.
        missing: queries without a group, which the next start asks for again.
    """

    parts: int
    queries: int
    repeated: int
    missing: int = 0


def mark_finished(directory: Path, index: int, count: int, finished: Finished) -> None:
    """Say that shard `index` of `count` is finished."""
    atomic_write_json(directory / f"shard-{index:05d}-of-{count:05d}.json", asdict(finished))


def carry_marks(source: Path, target: Path) -> None:
    """Mark the shards of which every part of `source` has become one of `target`.

    Of several processes that write parts of one shard, the last one marks it.
    """
    for index, (count, finished) in _marks(source).items():
        if not _missing_parts(target, index, count, finished.parts):
            mark_finished(target, index, count, finished)


def unfinished(directory: Path) -> list[str]:
    """Tell what is missing of a directory of parts, in words; empty where all is there."""
    found = [m for p in directory.glob("*.parquet") if (m := PART_NAME.fullmatch(p.name))]
    marks = _marks(directory)
    counts = {int(m[2]) for m in found} | {count for count, _ in marks.values()}
    waited_for = []
    for count in sorted(counts):
        for index in (i for i in range(count) if i not in marks):
            parts = sum(1 for m in found if int(m[1]) == index)
            waited_for.append(f"shard {index} of {count} is not finished ({parts} parts so far)")
    return waited_for + [f"{name} is missing" for name in lost_parts(directory)]


def lost_parts(directory: Path) -> list[str]:
    """Names of files that were there, or belong to those that are there."""
    lost = _missing_hub_files(directory)
    for index, (count, finished) in _marks(directory).items():
        lost += _missing_parts(directory, index, count, finished.parts)
    return lost


def check_finished(directory: Path) -> None:
    """Refuse a directory of parts that is not the whole data set.

    Raises:
        DataError: shards are not finished, or parts are missing.
    """
    missing = unfinished(directory)
    if missing:
        more = f", and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise DataError(
            f"directory {directory}",
            f"it is not the whole data set: {', '.join(missing[:SHOWN])}{more}",
            "start the command that writes it again, for each shard that is not finished",
        )


def _marks(directory: Path) -> dict[int, tuple[int, Finished]]:
    """Index → number of shards, and what is in it."""
    return {
        int(m[1]): (int(m[2]), Finished(**read_json(path)))
        for path in sorted(directory.glob("shard-*.json"))
        if (m := MARK.fullmatch(path.name))
    }


def _missing_parts(directory: Path, index: int, count: int, parts: int) -> list[str]:
    names = [f"shard-{index:05d}-of-{count:05d}-part-{n:06d}.parquet" for n in range(parts)]
    return [name for name in names if not (directory / name).exists()]


def _missing_hub_files(directory: Path) -> list[str]:
    """Numbers that are absent from train-00000-of-00003.parquet and the like."""
    present: dict[tuple[str, int], set[int]] = {}
    for path in directory.glob("*.parquet"):
        if (m := HUB_NAME.fullmatch(path.name)) and not PART_NAME.fullmatch(path.name):
            prefix = path.name[: m.start(1)]
            present.setdefault((prefix, int(m[2])), set()).add(int(m[1]))
    return [
        f"{prefix}{number:05d}-of-{count:05d}.parquet"
        for (prefix, count), numbers in sorted(present.items())
        for number in range(count)
        if number not in numbers
    ]
