"""Whether the scores tell the objective anything: measured before and while it trains.

A reward that cannot tell the responses of a group apart teaches nothing, and an objective
that imitates the best response then imitates an arbitrary one. The same figures come from
stored groups (`stored_signal`) and from the groups of each refresh (`ScoreSignal`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from statistics import fmean, pstdev
from typing import Any

import torch
from accelerate.utils import gather_object
from torch.nn.utils.rnn import pad_sequence

from neat_align.errors import DataError, InputError, NoSignalError
from neat_align.objectives import GroupLogps, Objective
from neat_align.objectives.terms import ROUNDING
from neat_align.types import Group, Source

QUANTILE = 0.75
"""Of the groups' spreads: rare outliers do not reach it, frequent near-ties do not sink it."""
CALIBRATION = 512
"""Groups with a spread from which on the run's spread stays as it is.

A fixed scale keeps the meaning of a gap while the responses become alike: late in a run what
is left of their differences is mostly noise.
"""
PATIENCE = 64
"""Groups without a usable one after which a run ends; the first ones are judged by then, too."""
FEW_USABLE, FEW_BELOW_PLAIN = 0.1, 0.2
"""Shares below which a warning is given."""
ENOUGH = 16
"""Negative responses from which on their share means something."""
BLOCK = 1024  # groups looked at together
REMEDY = (
    "look at the scores with `neat score` and `neat dataset stats`; reward what differs between "
    "answers, sample more responses per query or hotter ones, or steer towards the behaviour"
)


def group_spread(scores: Sequence[float]) -> float:
    """Standard deviation of a group's scores; 0 where they are equal to rounding."""
    spread = pstdev(scores) if len(scores) > 1 else 0.0
    return spread if spread > ROUNDING * max(map(abs, scores)) else 0.0


def run_spread(spreads: Iterable[float]) -> float:
    """The score spread of a run: the upper quartile of its groups', those without one left out.

    It depends on the values alone, not on their order; 0 where no group has any.
    """
    known = sorted(spread for spread in spreads if spread > 0)
    return known[math.floor(QUANTILE * (len(known) - 1))] if known else 0.0


def usable_groups(objective: Objective, groups: Sequence[Group], spread: float) -> list[bool]:
    """Of each group, whether its scores tell the objective something."""
    if not groups:
        return []
    scores = [torch.tensor(g.scores, dtype=torch.float64) for g in groups]
    negative = [torch.tensor([r.source == Source.NEGATIVE for r in g.responses]) for g in groups]
    score = pad_sequence(scores, batch_first=True)
    return objective.usable(
        GroupLogps(
            policy=torch.zeros_like(score),
            length=torch.ones_like(score, dtype=torch.long),
            score=score,
            is_negative=pad_sequence(negative, batch_first=True),
            present=pad_sequence([torch.ones_like(n) for n in negative], batch_first=True),
            spread=torch.tensor(spread, dtype=torch.float64),
        )
    ).tolist()  # type: ignore[no-any-return]


def below_plain(groups: Iterable[Group]) -> list[bool]:
    """Of each negative response beside plain ones, whether it scores below their mean."""
    found = []
    for group in groups:
        plain = [r.score for r in group.responses if r.source == Source.PLAIN]
        known = [score for score in plain if score is not None]
        if known:
            mean = fmean(known)
            negative = [r.score for r in group.responses if r.source == Source.NEGATIVE]
            found += [score < mean for score in negative if score is not None]
    return found


@dataclass
class Signal:
    """Counts of what scores tell, over some groups.

    Attributes:
        groups, usable: how many there were, and how many told the objective something.
        negatives, below: negative responses beside plain ones; those that score below them.
        spread: what gaps are relative to, in reward units.
        sources: standard deviation of the scores by source.
    """

    groups: int = 0
    usable: int = 0
    negatives: int = 0
    below: int = 0
    spread: float = 0.0
    sources: dict[str, float] = field(default_factory=dict)

    @property
    def shares(self) -> dict[str, float]:
        """The figures as they are logged; those of which nothing is known are left out."""
        shares = {"signal/spread": self.spread}
        if self.groups:
            shares["signal/usable"] = self.usable / self.groups
        if self.negatives:
            shares["negatives/below_plain"] = self.below / self.negatives
        return shares | {f"spread/{source}": value for source, value in self.sources.items()}

    def doubts(self, objective: Objective) -> list[str]:
        """What in these figures a user should know before going on, in sentences."""
        told = []
        if self.groups and not self.usable:
            told.append(f"training on these groups is refused: {_why(objective)}; {REMEDY}")
        elif self.usable < FEW_USABLE * self.groups:
            told.append(
                f"only {self.usable} of {self.groups} groups have responses whose scores differ "
                f"enough for {objective.name} to learn from: {REMEDY}"
            )
        if self.negatives >= ENOUGH and self.below < FEW_BELOW_PLAIN * self.negatives:
            told.append(
                f"only {self.below} of {self.negatives} responses under negative prompts score "
                "below the plain ones: the negative prompts do not bring out what the reward "
                "marks down, or the reward is wrong; a negative prompt must order the behaviour"
            )
        limits = objective.score_range
        if limits and self.spread and not limits[0] <= self.spread <= limits[1]:
            told.append(
                f"{objective.name} weighs score differences as they are, and theirs are about "
                f"{self.spread:.3g}: it works as meant between {limits[0]:g} and {limits[1]:g}; "
                "scale the reward with its weight"
            )
        return told


def stored_signal(objective: Objective, read: Callable[[], Iterable[Group]]) -> Signal:
    """What the scores of stored groups tell the objective.

    Args:
        read: gives the groups from the first on, each time it is called: they are read twice.
    """
    spread = run_spread(group_spread(group.scores) for group in read())
    found, moments = Signal(spread=spread), _Moments()
    rest = iter(read())
    while block := list(islice(rest, BLOCK)):
        found.groups += len(block)
        found.usable += sum(usable_groups(objective, block, spread))
        negatives = below_plain(block)
        found.negatives += len(negatives)
        found.below += sum(negatives)
        moments.add(block)
    found.sources = moments.deviations()
    return found


def stored_problems(objective: Objective, groups: Sequence[Group]) -> list[InputError]:
    """That no stored group tells the objective anything."""
    found = stored_signal(objective, lambda: groups)
    if found.usable or not found.groups:
        return []
    return [DataError(f"{found.groups} stored groups", _why(objective), REMEDY)]


def _why(objective: Objective) -> str:
    return (
        f"none has what {objective.name} learns from: their responses are scored alike, and "
        "training would imitate an arbitrary one"
    )


class _Moments:
    """Count, mean and sum of squared deviations of the scores, by source (Welford)."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[int, float, float]] = {}

    def add(self, groups: Iterable[Group]) -> None:
        for response in chain.from_iterable(group.responses for group in groups):
            if response.score is not None:
                source = str(response.source)
                count, mean, squares = self.of.get(source, (0, 0.0, 0.0))
                step = response.score - mean
                mean += step / (count + 1)
                self.of[source] = count + 1, mean, squares + step * (response.score - mean)

    def deviations(self) -> dict[str, float]:
        return {name: math.sqrt(s / n) for name, (n, _, s) in sorted(self.of.items())}


class ScoreSignal:
    """The signal of a run as it goes: the same on all ranks, and kept in its checkpoints.

    Args:
        objective: says which groups are usable.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
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
        found = stored_signal(self.objective, lambda: groups)
        self.total.spread = found.spread
        self.spreads = [found.spread] * CALIBRATION
        self.judged = True
        _tell(found.doubts(self.objective))

    def add(self, groups: Sequence[Group], processes: int = 1) -> Signal:
        """The signal of the groups of one refresh, this rank's; all ranks call it together.

        Raises:
            NoSignalError: `PATIENCE` groups in a row, and no usable one before them.
        """
        if len(self.spreads) < CALIBRATION:
            own = [s for g in groups if (s := group_spread(g.scores)) > 0]
            self.spreads = sorted(self.spreads + _gathered(own, processes))
            self.total.spread = run_spread(self.spreads)
        found = self.figures(groups)
        counts = [getattr(found, name) for name in COUNTED[:4]]
        self._count(_gathered([counts], processes))
        return found

    def figures(self, groups: Sequence[Group]) -> Signal:
        """The signal of some groups by the run's spread; nothing is counted."""
        negatives, moments = below_plain(groups), _Moments()
        moments.add(groups)
        return Signal(
            groups=len(groups),
            usable=sum(usable_groups(self.objective, groups, self.spread)),
            negatives=len(negatives),
            below=sum(negatives),
            spread=self.spread,
            sources=moments.deviations(),
        )

    def _count(self, of_ranks: Sequence[Sequence[int]]) -> None:
        groups, usable, negatives, below = map(sum, zip(*of_ranks, strict=True))
        self.total.groups += groups
        self.total.usable += usable
        self.total.negatives += negatives
        self.total.below += below
        self.silent = 0 if usable else self.silent + groups
        if self.total.groups >= PATIENCE:
            self.judge()

    def judge(self) -> None:
        """Tell once what the first groups give cause to; refuse a run without any signal.

        Raises:
            NoSignalError: no group so far was usable.
        """
        if self.total.groups and not self.total.usable:
            given = f"{self.total.groups} groups of this run"
            raise NoSignalError(given, _why(self.objective), REMEDY)
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
        """All of it as JSON."""
        total = {name: getattr(self.total, name) for name in COUNTED}
        return {"spreads": self.spreads, "silent": self.silent, "judged": self.judged, **total}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.spreads, self.silent = list(state["spreads"]), state["silent"]
        self.judged = state["judged"]
        self.total = Signal(**{name: state[name] for name in COUNTED})


COUNTED = ("groups", "usable", "negatives", "below", "spread")


def _tell(doubts: Iterable[str]) -> None:
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=1)  # ours, and not the Trainer's


def _gathered(own: list[Any], processes: int) -> list[Any]:
    return list(gather_object(own)) if processes > 1 else own
