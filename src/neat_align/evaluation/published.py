"""Where the data of a benchmark are published: its file, its repository, its place on the hub."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neat_align.storage.atomic import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

Suite = Literal["safety", "abilities", "bias"]
SUITES: tuple[Suite, ...] = ("safety", "abilities", "bias")


@dataclass(frozen=True)
class Hub:
    """A data set that the authors publish on the hub, and that has the rows of their file.

    Attributes:
        id, config, split: as `datasets.load_dataset` takes them.
        columns: the file's names → the hub's, where they differ.
        each_config: all configurations are read, one after the other.
        lines: a row is a line of a text, under `text`.
    """

    id: str
    config: str | None = None
    split: str = "train"
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    each_config: bool = False
    lines: bool = False

    def fetched(self, folder: Path) -> Path:
        """Write the rows to a file of a folder, and return it.

        Raises:
            DataError: the hub does not give them.
        """
        rows = (row for config in self._configs() for row in self._rows(config))
        name, writes = self.id.replace("/", "--"), _a_line if self.lines else _as_json
        path = folder / f"{name}.{'txt' if self.lines else 'jsonl'}"
        atomic_write_text(path, "".join(map(writes, rows)))
        return path

    def _rows(self, config: str | None) -> Iterator[dict[str, Any]]:
        from neat_align.data.source import hub_rows

        for _, row in hub_rows(self.id, config, self.split):
            yield row | {ours: row.pop(theirs) for ours, theirs in self.columns.items()}

    def _configs(self) -> list[str | None]:
        from neat_align.data.source import hub_configs

        return list(hub_configs(self.id)) if self.each_config else [self.config]


@dataclass(frozen=True)
class Published:
    """Where a user gets the data of a benchmark.

    Attributes:
        url: where the authors publish them.
        files: paths below a directory of data sets; the first that is there is read. A directory
            stands for all its data files.
        hub: None where the authors publish nothing there that `datasets` reads.
    """

    url: str
    files: tuple[str, ...]
    hub: Hub | None = None


def _as_json(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _a_line(row: Mapping[str, Any]) -> str:
    text = str(row["text"])
    return text if text.endswith("\n") else f"{text}\n"
