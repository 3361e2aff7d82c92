"""Keep what a training tells of itself between two logs: means, signal, seconds, completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from neat_align.scoring import ScorerSet
from neat_align.training.completions import CompletionsLog
from neat_align.training.metrics import refuse_taken
from neat_align.training.run_signal import ScoreSignal
from neat_align.training.running_means import RunningMeans
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group


@dataclass
class Notes:
    """What is logged next, and the signal of the whole run."""

    signal: ScoreSignal
    completions: CompletionsLog
    means: RunningMeans = field(default_factory=RunningMeans)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def add_scored(self, groups: Sequence[Group], scorers: ScorerSet) -> None:
        """Keep freshly scored groups, and what the reward functions told beside their scores."""
        told = refuse_taken(scorers.take_metrics())
        self.means.add(told if groups else {}, len(groups))
        self.completions.add(groups, scorers.take_extras())

    def take(self, step: int, accelerator: Any) -> dict[str, float]:
        """Return the figures since the last log, and begin anew; all ranks call it together."""
        figures = self.means.take(accelerator.num_processes) | self.stopwatch.read()
        self.completions.write(step, accelerator.num_processes, accelerator.is_main_process)
        return figures
