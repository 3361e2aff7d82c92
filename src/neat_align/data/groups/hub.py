"""A data set of groups in the hub's layout: written to a directory, pushed, fetched.

    DIRECTORY/README.md                          the card, with the files of each split
    DIRECTORY/data/train-00000-of-00002.parquet  rows as `wide` has them
    DIRECTORY/data/ties-00000-of-00001.parquet   rows without a pair, which no trainer can use

`datasets.load_dataset(DIRECTORY)` reads the first, and every command of ours that takes a
directory of groups reads both.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from neat_align.data.groups.files import read_groups
from neat_align.data.groups.finished import check_finished
from neat_align.data.groups.flags import TIE
from neat_align.data.groups.shards import group_files
from neat_align.data.groups.stats import group_stats, left_out
from neat_align.data.groups.wide import check_wide, wide_row, wide_schema
from neat_align.errors import DataError, OutputError
from neat_align.storage.atomic import atomic_directory, read_json, writing
from neat_align.storage.paths import is_dir
from neat_align.storage.runs import MANIFEST

ROW_GROUP = 1024
"""Rows that are in memory at a time, and that a reader reads at once."""
TOLD = ("steering", "plan", "decoding", "seed", "rewards", "weights", "drop", "min_gap")
"""Settings that the card tells."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
FILE_BYTES = 500 * 10**6
"""A file is ended when it has grown to this."""


def export_groups(source: Path, target: Path) -> int:
    """Write the groups of `source` as a data set in the hub's layout; the rows written.

    Args:
        source: a file of groups, or a directory of parts, all shards finished.
        target: new.

    Raises:
        DataError: groups that cannot be read, or a directory that is not the whole data set.
        OutputError: `target` exists, or cannot be written.
    """
    if target.exists():
        raise OutputError(f"output {target}", "it exists", "name another, or remove it first")
    stats = group_stats(read_groups(source))  # every row is looked at before one is written
    with atomic_directory(target) as folder:
        (folder / "data").mkdir()
        _write_files(source, folder / "data")
        (folder / "README.md").write_text(_card(source, stats), encoding="utf-8")
    return int(stats["groups"])


def push_groups(source: Path, name: str, private: bool = True) -> str:
    """Put the groups of `source` on the hub; the address of what was put there.

    Files of the same data set that an earlier push has put there are replaced.

    Args:
        name: owner/name. The token is that of `hf auth login`, or $HF_TOKEN.
        private: of a data set that is not there yet.

    Raises:
        DataError: see `export_groups`.
        OutputError: the hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    _check_name(name)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "dataset"
        export_groups(source, folder)

        def put() -> str:
            api = HfApi()
            api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=name,
                repo_type="dataset",
                folder_path=folder,
                commit_message="Groups of answers with their scores",
                delete_patterns="data/*.parquet",
            )
            return str(done.commit_url)

        fix = "log in with `hf auth login` as one who may write there; check the name and network"
        return _asking_the_hub(name, put, fix)


def pull_groups(name: str, target: Path, revision: str | None = None) -> int:
    """Fetch a data set of groups from the hub into a directory; the rows in it.

    Raises:
        OutputError: `target` exists, the hub refuses, or cannot be reached.
        DataError: what is there is no data set of groups, or not a whole one.
    """
    from huggingface_hub import snapshot_download

    _check_name(name)
    if target.exists():
        raise OutputError(f"output {target}", "it exists", "name another, or remove it first")
    with atomic_directory(target) as folder:
        patterns = ["README.md", "data/*.parquet", "*.parquet"]
        _asking_the_hub(
            name,
            lambda: snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                local_dir=folder,
                allow_patterns=patterns,
            ),
            "check the name, the revision and the network; private ones need `hf auth login`",
        )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's notes
        try:
            files = group_files(folder)
            check_finished(files[0].parent)
            rows = sum(check_wide(file) for file in files)
        except DataError as error:
            fix = "name a data set that `neat dataset push` wrote"
            raise DataError(f"data set {name!r}", error.why, fix) from error
    return rows


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or ".." in name or "--" in name:
        raise DataError(f"data set {name!r}", "it is no name of the hub's", "write owner/name")


def _asking_the_hub(name: str, ask: Callable[[], str], fix: str) -> str:
    try:
        with writing(Path(name)):
            return ask()
    except OutputError:
        raise
    except Exception as error:  # the hub client raises many unrelated types
        why = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        raise OutputError(f"data set {name!r} on the hub", why, fix) from error


# ------------------------------------------------------------------------------- files


def _write_files(source: Path, folder: Path) -> None:
    """Cut the rows into files of some size, ties into files of their own."""
    files = _Files(folder, "train"), _Files(folder, "ties")
    groups = read_groups(source)
    while rows := [wide_row(group) for group in islice(groups, ROW_GROUP)]:
        for own, are_ties in zip(files, (False, True), strict=True):
            own.write([row for row in rows if (TIE in row["flags"]) is are_ties])
    for own in files:
        own.finish()


class _Files:
    """Files of rows, numbered once their number is known."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        self.written: list[Path] = []
        self.writer: Any = None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if not rows:
            return
        if self.writer is None:
            self.written.append(self.folder / f"{self.prefix}-{len(self.written)}.parquet")
            self.writer = parquet.ParquetWriter(self.written[-1], wide_schema(), compression="zstd")
        self.writer.write_table(pa.Table.from_pylist(rows, schema=wide_schema()))
        if self.written[-1].stat().st_size >= FILE_BYTES:
            self._close()

    def finish(self) -> None:
        self._close()
        for number, path in enumerate(self.written):
            name = f"{self.prefix}-{number:05d}-of-{len(self.written):05d}.parquet"
            path.rename(self.folder / name)

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


# -------------------------------------------------------------------------------- card


def _public_name(reward: str) -> str:
    """Name a reward without where it lies: `judge={…}` is a judge, a path its last part."""
    name, equals, _ = reward.partition("=")
    return name if equals and name.isidentifier() else Path(reward).name


def _card(source: Path, stats: Mapping[str, Any]) -> str:
    """README.md: what is in the data set and how it came about."""
    known = is_dir(source) and (source / MANIFEST).exists()
    made = read_json(source / MANIFEST)["recipe"] if known else {}
    counts = "\n".join(f"| {name} | {n} |" for name, n in stats.items() if isinstance(n, int))
    flags = "\n".join(f"| {name} | {n} |" for name, n in stats["flags"].items()) or "| none | 0 |"
    dropped = left_out(group_files(source))
    settings = {k: v for k, v in {**(made.get("made_by") or {}), **made}.items() if k in TOLD}
    if "rewards" in settings:  # no paths or addresses of where it was scored
        settings["rewards"] = [_public_name(reward) for reward in settings["rewards"]]
    settings |= {f"left out: {what}": number for what, number in dropped.items()}
    how = f"\n```json\n{json.dumps(settings, indent=2)}\n```\n" if settings else ""
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
tags:
- neat-align
- preference
- trl
---

# Groups of answers

Answers of a language model to queries, drawn plainly and under positive and negative prompts,
written by neat-align. **Some answers are harmful on purpose**: they were asked for, so that a
model can be trained not to give them.

One row is one query. `prompt`, `chosen` (the answer with the highest score), `rejected` (the
lowest) and `completion` are in TRL's conversational format; `candidates` holds every answer
with its source, what steered it (`steering`, a prompt; `turns`, shown before the query; `prefix`,
how the answer begins; `column` of the data, which it was taken from), finish reason and scores.
`flags` tells what is odd about a row: nothing is left out for it, but rows flagged `tie`, whose
answers score or read alike, are in files of their own (`data/ties-*.parquet`), since no pair can
be made of them.

| | |
|---|---|
{counts}

| flag | rows |
|---|---|
{flags}
{how}"""
