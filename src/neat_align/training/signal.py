"""Whether the scores tell the objective anything: measured before and while it trains.

A reward that cannot tell the responses of a group apart teaches nothing, and an objective
that imitates the best response then imitates an arbitrary one. The same figures come from
stored groups (`stored_signal`) and from the groups of each refresh (`run_signal`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from statistics import fmean, pstdev

import torch
from torch.nn.utils.rnn import pad_sequence

from neat_align.errors import DataError, InputError
from neat_align.objectives import GroupLogps, Objective
from neat_align.objectives.terms import ROUNDING
from neat_align.training.running_means import Moments, RunningMeans, Weighted
from neat_align.types import Group, Source

FEW_USABLE, FEW_BELOW_PLAIN = 0.1, 0.2
"""Shares below which a warning is given."""
ENOUGH = 16
"""Negative responses from which on their share means something."""
QUANTILE = 0.75
"""Of the groups' spreads: rare outliers do not reach it, frequent near-ties do not sink it."""
BLOCK = 1024  # groups looked at together
REMEDY = (
    "look at the scores with `neat score` and `neat dataset stats`; reward what differs between "
    "answers, sample more responses per query or hotter ones, or steer towards the behaviour"
)


@dataclass(frozen=True)
class Signal:
    """Counts of what scores tell, over some groups.

    Attributes:
        groups, usable: how many there were, and how many told the objective something.
        negatives, below: negative responses beside plain ones; those that score below them.
        spread: what gaps are relative to, in reward units.
        sources: where the scores of each source lie.
        left_out: of the groups, those that were not trained on, as was asked for.
    """

    groups: int = 0
    usable: int = 0
    negatives: int = 0
    below: int = 0
    spread: float = 0.0
    sources: Mapping[str, Moments] = field(default_factory=dict)
    left_out: int = 0

    def __add__(self, other: Signal) -> Signal:
        """Join the counts of both parts' groups, relative to one spread."""
        names = sorted({*self.sources, *other.sources})
        none = Moments()
        return Signal(
            self.groups + other.groups,
            self.usable + other.usable,
            self.negatives + other.negatives,
            self.below + other.below,
            self.spread,
            {n: self.sources.get(n, none) + other.sources.get(n, none) for n in names},
            self.left_out + other.left_out,
        )

    @property
    def shares(self) -> dict[str, float]:
        """The figures as they are logged; those of which nothing is known are left out."""
        known = {name: value for name, (value, weight) in self._means().items() if weight}
        return {"signal/spread": self.spread, **known, **self.deviations("spread/")}

    def deviations(self, prefix: str = "") -> dict[str, float]:
        """Return the standard deviation of the scores by source."""
        return {f"{prefix}{source}": found.deviation for source, found in self.sources.items()}

    def note(self, means: RunningMeans) -> None:
        """Add it to what is logged next."""
        means.add_weighted(self._means())
        means.add_moments({f"spread/{source}": found for source, found in self.sources.items()})

    def _means(self) -> Weighted:
        usable, below = self.usable / max(1, self.groups), self.below / max(1, self.negatives)
        return {
            "signal/spread": (self.spread, self.groups),
            "signal/usable": (usable, self.groups),
            "negatives/below_plain": (below, self.negatives),
        }

    def doubts(self, objective: Objective) -> list[str]:
        """Say what a user should know before going on, in sentences."""
        told = []
        if self.groups and not self.usable:
            told.append(f"training on these groups is refused: {why_refused(objective)}; {REMEDY}")
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


def signal_of(
    objective: Objective, groups: Sequence[Group], spread: float, border: float | None = None
) -> Signal:
    """Count what the scores of some groups tell the objective.

    Args:
        spread, border: of the run that they are a part of.
    """
    negatives = below_plain(groups)
    return Signal(
        groups=len(groups),
        usable=sum(usable_groups(objective, groups, spread, border)),
        negatives=len(negatives),
        below=sum(negatives),
        spread=spread,
        sources=_by_source(groups),
    )


def stored_signal(
    objective: Objective, read: Callable[[], Iterable[Group]], border: float | None = None
) -> Signal:
    """Count what the scores of stored groups tell the objective.

    Args:
        read: gives the groups from the first on, each time it is called: they are read twice.
        border: of the run.
    """
    spread = run_spread(group_spread(group.scores) for group in read())
    found, rest = Signal(spread=spread), iter(read())
    while block := list(islice(rest, BLOCK)):
        found += signal_of(objective, block, spread, border)
    return found


def stored_problems(
    objective: Objective, groups: Sequence[Group], border: float | None = None
) -> list[InputError]:
    """Refuse stored groups of which none tells the objective anything."""
    found = stored_signal(objective, lambda: groups, border)
    if found.usable or not found.groups:
        return []
    return [DataError(f"{found.groups} stored groups", why_refused(objective), REMEDY)]


def why_refused(objective: Objective) -> str:
    """Say why groups without a usable one are refused."""
    return (
        f"none has what {objective.name} learns from: their responses are scored alike or read "
        "alike, and training would imitate an arbitrary one"
    )


def _by_source(groups: Iterable[Group]) -> dict[str, Moments]:
    scores: dict[str, list[float]] = {}
    for response in chain.from_iterable(group.responses for group in groups):
        if response.score is not None:
            scores.setdefault(str(response.source), []).append(response.score)
    return {source: Moments.of(scores[source]) for source in sorted(scores)}


def group_spread(scores: Sequence[float]) -> float:
    """Return the standard deviation of a group's scores; 0 where they are equal to rounding."""
    spread = pstdev(scores) if len(scores) > 1 else 0.0
    return spread if spread > ROUNDING * max(map(abs, scores)) else 0.0


def run_spread(spreads: Iterable[float]) -> float:
    """Return the score spread of a run: the upper quartile of its groups' spreads above 0.

    It depends on the values alone, not on their order; 0 where no group has any.
    """
    known = sorted(spread for spread in spreads if spread > 0)
    return known[math.floor(QUANTILE * (len(known) - 1))] if known else 0.0


def usable_groups(
    objective: Objective, groups: Sequence[Group], spread: float, border: float | None = None
) -> list[bool]:
    """Tell of each group whether its scores tell the objective something.

    Responses that read alike word for word tell nothing, whatever they score: the same text
    would be raised and lowered.
    """
    if not groups:
        return []
    scores = [torch.tensor(g.scores, dtype=torch.float64) for g in groups]
    negative = [torch.tensor([r.source == Source.NEGATIVE for r in g.responses]) for g in groups]
    plain = [torch.tensor([r.source == Source.PLAIN for r in g.responses]) for g in groups]
    score = pad_sequence(scores, batch_first=True)
    told = objective.usable(
        GroupLogps(
            policy=torch.zeros_like(score),
            length=torch.ones_like(score, dtype=torch.long),
            score=score,
            is_negative=pad_sequence(negative, batch_first=True),
            present=pad_sequence([torch.ones_like(n) for n in negative], batch_first=True),
            is_plain=pad_sequence(plain, batch_first=True),
            spread=torch.tensor(spread, dtype=torch.float64),
            border=None if border is None else torch.tensor(border, dtype=torch.float64),
        )
    ).tolist()
    return [own and _differ(group) for own, group in zip(told, groups, strict=True)]


def _differ(group: Group) -> bool:
    """Tell whether there is a choice between texts; one response alone offers none."""
    return len(group.responses) == 1 or len({r.text for r in group.responses}) > 1


def below_plain(groups: Iterable[Group]) -> list[bool]:
    """Tell of each negative response beside plain ones whether it scores below their mean."""
    found = []
    for group in groups:
        plain = [r.score for r in group.responses if r.source == Source.PLAIN]
        known = [score for score in plain if score is not None]
        if known:
            mean = fmean(known)
            negative = [r.score for r in group.responses if r.source == Source.NEGATIVE]
            found += [score < mean for score in negative if score is not None]
    return found
