"""Which groups' scores tell an objective anything, whatever the scale of the reward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

import torch
from torch.nn.utils.rnn import pad_sequence

from neat_align.objectives import GroupLogps, Objective
from neat_align.objectives.terms import ROUNDING
from neat_align.types import Group, Source

QUANTILE = 0.75
"""Of the groups' spreads: rare outliers do not reach it, frequent near-ties do not sink it."""


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


def usable_groups(objective: Objective, groups: Sequence[Group], spread: float) -> list[bool]:
    """Tell of each group whether its scores tell the objective something.

    Responses that read alike word for word tell nothing, whatever they score: the same text
    would be raised and lowered.
    """
    if not groups:
        return []
    scores = [torch.tensor(g.scores, dtype=torch.float64) for g in groups]
    negative = [torch.tensor([r.source == Source.NEGATIVE for r in g.responses]) for g in groups]
    score = pad_sequence(scores, batch_first=True)
    told = objective.usable(
        GroupLogps(
            policy=torch.zeros_like(score),
            length=torch.ones_like(score, dtype=torch.long),
            score=score,
            is_negative=pad_sequence(negative, batch_first=True),
            present=pad_sequence([torch.ones_like(n) for n in negative], batch_first=True),
            spread=torch.tensor(spread, dtype=torch.float64),
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
