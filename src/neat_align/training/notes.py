"""Keep what a training tells of itself between two logs: means, signal, seconds, completions."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from neat_align.prompts.phrasing import Phrasing
from neat_align.scoring import ScorerSet
from neat_align.storage.atomic import atomic_write_bytes
from neat_align.training.metrics import refuse_taken
from neat_align.training.run_signal import ScoreSignal
from neat_align.training.running_means import RunningMeans
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group, Response, Source


@dataclass
class Notes:
    """What is logged next, and the signal of the whole run."""

    signal: ScoreSignal
    completions: CompletionsLog
    means: RunningMeans = field(default_factory=RunningMeans)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def add_scored(
        self, groups: Sequence[Group], scorers: ScorerSet, sides: Sequence[Source] = ()
    ) -> None:
        """Keep freshly scored groups, and what the reward functions told beside their scores.

        Args:
            sides: what has been drawn anew of each group, where that is not all.
        """
        told = refuse_taken(scorers.take_metrics())
        self.means.add(told if groups else {}, len(groups))
        self.completions.add(groups, scorers.take_extras(), sides)

    def take(self, step: int, accelerator: Any) -> dict[str, float]:
        """Return the figures since the last log, and begin anew; all ranks call it together."""
        figures = self.means.take(accelerator.num_processes) | self.stopwatch.read()
        self.completions.write(step, accelerator.num_processes, accelerator.is_main_process)
        return figures


OWN = ("step", "prompt", "completion", "source", "steering", "finish", "score")


class CompletionsLog:
    """Collects responses between two logs, and writes them as TRL does.

    One file `completions/completions_STEP.parquet`: a row per response, with a column per
    scorer and per `log_extra`. A column whose name is taken is called "extra/NAME".

    Args:
        wanted: whether anything is kept and written at all.
    """

    def __init__(self, directory: Path, wanted: bool) -> None:
        self.directory, self.wanted = directory / "completions", wanted
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        groups: Sequence[Group],
        extras: Mapping[str, Sequence[Any]],
        sides: Sequence[Source] = (),
    ) -> None:
        """Keep scored groups; `extras` hold one value per response, in their order.

        Args:
            sides: of each group, the source whose responses alone are kept; none for all.
        """
        if not self.wanted:
            return
        only: Sequence[Source | None] = sides or [None] * len(groups)
        pairs = [(g, r, side) for g, side in zip(groups, only) for r in g.responses]
        for index, (group, response, side) in enumerate(pairs):
            if side not in (None, response.source):
                continue
            row = _row(group, response)
            told = {name: values[index] for name, values in extras.items()}
            self.rows.append(row | {f"extra/{n}" if n in row else n: v for n, v in told.items()})

    def write(self, step: int, processes: int, is_main: bool) -> None:
        """Write what was kept on all ranks. With several processes, all must call it."""
        if not self.wanted:
            return
        rows, self.rows = self.rows, []
        rows = gather_object(rows) if processes > 1 else rows
        if rows and is_main:
            path = self.directory / f"completions_{step:05d}.parquet"
            atomic_write_bytes(path, _parquet([{"step": step, **row} for row in rows]))


def _row(group: Group, response: Response) -> dict[str, Any]:
    messages = [message.to_json() for message in group.query.messages]
    return {
        "prompt": messages if group.query.conversational else group.query.text,
        "completion": response.text,
        "source": str(response.source),
        "steering": str(Phrasing.of(response)),
        "finish": response.finish,
        "score": response.score,
        **response.scores,
    }


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    names = dict.fromkeys([*OWN, *(name for row in rows for name in row)])
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _column(values: list[Any]) -> Any:
    """Make an Arrow array; values of several kinds, or of none that Arrow has, become JSON."""
    import pyarrow as pa

    plain = [v.tolist() if hasattr(v, "tolist") else v for v in values]  # arrays, tensors
    try:
        return pa.array(plain)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([json.dumps(v, ensure_ascii=False, default=str) for v in plain])
