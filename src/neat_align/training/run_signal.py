"""The signal of a run as it goes: what the scores of each refresh tell, over all ranks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from accelerate.utils import gather_object

from neat_align.errors import NoSignalError
from neat_align.objectives import Objective
from neat_align.training.signal import (
    REMEDY,
    Signal,
    group_spread,
    run_spread,
    signal_of,
    stored_signal,
    why_refused,
)
from neat_align.types import Group

CALIBRATION = 512
"""Groups with a spread from which on the run's spread stays as it is.

A fixed scale keeps the meaning of a gap while the responses become alike: late in a run what
is left of their differences is mostly noise.
"""
PATIENCE = 64
"""Groups without a usable one after which a run ends; the first ones are judged by then, too."""
COUNTED = ("groups", "usable", "negatives", "below", "spread", "left_out")


class ScoreSignal:
    """The signal of a run as it goes: the same on all ranks, and kept in its checkpoints.

    Args:
        objective: says which groups are usable.
        border: the score above which a response is good; None until one is found, if ever.
    """

    def __init__(self, objective: Objective, border: float | None = None) -> None:
        self.objective, self.border = objective, border
        self.spreads: list[float] = []
        self.total = Signal()
        self.silent = 0  # groups since the last usable one
        self.judged = False

    @property
    def spread(self) -> float:
        """What gaps are relative to, in reward units; 0 while no group has a spread."""
        return self.total.spread

    def calibrate(self, groups: Sequence[Group]) -> None:
        """Fix the spread by stored groups, all of them, and tell what they give cause to."""
        found = stored_signal(self.objective, lambda: groups, self.border)
        self.total = Signal(spread=found.spread)
        self.spreads = [found.spread] * CALIBRATION
        self.judged = True
        _tell(found.doubts(self.objective))

    def add(self, groups: Sequence[Group], processes: int = 1, left_out: int = 0) -> Signal:
        """Count this rank's groups of one refresh in; all ranks call it together.

        Args:
            left_out: further groups of the refresh, which count as telling nothing.

        Raises:
            NoSignalError: `PATIENCE` groups in a row, and no usable one before them.
        """
        if len(self.spreads) < CALIBRATION:
            own = [s for g in groups if (s := group_spread(g.scores)) > 0]
            self.spreads = sorted(self.spreads + _gathered(own, processes))
            self.total = replace(self.total, spread=run_spread(self.spreads))
        found = self.figures(groups) + Signal(groups=left_out, left_out=left_out)
        self._count(sum(_gathered([replace(found, sources={})], processes), Signal()))
        return found

    def figures(self, groups: Sequence[Group]) -> Signal:
        """Return the signal of some groups by the run's spread; nothing is counted."""
        return signal_of(self.objective, groups, self.spread, self.border)

    def _count(self, found: Signal) -> None:
        self.total += found
        self.silent = 0 if found.usable else self.silent + found.groups
        if self.total.groups >= PATIENCE:
            self.judge()

    def judge(self) -> None:
        """Tell once what the first groups give cause to; refuse a run without any signal.

        Raises:
            NoSignalError: no group so far was usable.
        """
        if self.total.groups and not self.total.usable:
            left_out = f", {self.total.left_out} of them left out" if self.total.left_out else ""
            given = f"{self.total.groups} groups of this run{left_out}"
            raise NoSignalError(given, why_refused(self.objective), REMEDY)
        if not self.judged:
            self.judged = True
            _tell(self.total.doubts(self.objective))

    @property
    def ended(self) -> str:
        """Why there is nothing more to learn; "" while there is."""
        if self.silent < PATIENCE:
            return ""
        return (
            f"the scores of the last {self.silent} groups told {self.objective.name} nothing: "
            "the reward sees no difference between the answers any more"
        )

    def state(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        total = {name: getattr(self.total, name) for name in COUNTED}
        kept = ("spreads", "silent", "judged", "border")
        return {name: getattr(self, name) for name in kept} | total

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.spreads, self.silent = list(state["spreads"]), state["silent"]
        self.judged, self.border = state["judged"], state["border"]
        self.total = Signal(**{name: state[name] for name in COUNTED})


def _tell(doubts: Iterable[str]) -> None:
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=1)  # ours, and not the Trainer's


def _gathered(own: list[Any], processes: int) -> list[Any]:
    return list(gather_object(own)) if processes > 1 else own
