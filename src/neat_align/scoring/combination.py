"""Several scores of an answer as one: their sum, or a figure that heeds where they disagree.

z = (score − centre) / spread brings the scores on one scale. Over the scores z that apply to an
answer, with their weights w:

    sum          Σ w z
    mean         m = Σ w z / Σ w
    minimum      the smallest z
    lower_bound  m − k √(Σ w (z − m)² / Σ w)

An answer that one reward likes and the others do not is the likeliest to trick that one. Scores
of weight 0 are kept as figures, and count only in a sum, where they add nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isfinite, sqrt

from neat_align.errors import InputError, RewardError, nearest

WAYS = ("sum", "mean", "minimum", "lower_bound")
HEED = ("minimum", "lower_bound")
"""Ways that compare scores with one another, and so need them on one scale."""
SCALE = "give a spread for each reward; `neat reward audit` tells mean and spread of a reward"

Values = Sequence[float | None]
"""One score per reward; None where it does not apply."""


@dataclass(frozen=True)
class Combination:
    """How the scores of an answer become one.

    Attributes:
        way: one of `WAYS`.
        deviations: k above.
        centres, spreads: one per reward, or none: 0 and 1.
    """

    way: str = "sum"
    deviations: float = 1.0
    centres: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()

    def __call__(self, values: Values, weights: Sequence[float]) -> float | None:
        """Combine the scores of one answer; None where none of them counts."""
        scaled = [(z, w) for z, w in zip(self._scaled(values), weights, strict=True)]
        found = [(z, w) for z, w in scaled if z is not None and (w or self.way == "sum")]
        if not found:
            return None
        if self.way == "minimum":
            return min(z for z, _ in found)
        total = sum(w * z for z, w in found)
        if self.way == "sum":
            return total
        whole = sum(w for _, w in found)
        mean = total / whole
        if self.way == "mean":
            return mean
        return mean - self.deviations * sqrt(sum(w * (z - mean) ** 2 for z, w in found) / whole)

    def of(self, positions: Sequence[int]) -> Combination:
        """Return the combination of some of the rewards alone."""
        centres, spreads = (
            tuple(row[i] for i in positions) if row else () for row in (self.centres, self.spreads)
        )
        return replace(self, centres=centres, spreads=spreads)

    def problems(self, weights: Sequence[float], more: bool = False) -> list[InputError]:
        """Tell why so many rewards cannot be combined so.

        Args:
            weights: one per reward.
            more: plausibility is added to them.
        """
        return list(self._problems(weights, more))

    def _scaled(self, values: Values) -> Iterator[float | None]:
        for i, value in enumerate(values):
            if value is None or not self.spreads:
                yield value
            else:
                yield (value - (self.centres[i] if self.centres else 0.0)) / self.spreads[i]

    def _problems(self, weights: Sequence[float], more: bool) -> Iterator[InputError]:
        given = f"combine: {self.way}"
        if self.way not in WAYS:
            yield RewardError(given, "there is no such way to combine", nearest(self.way, WAYS))
            return
        yield from self._scale_problems(len(weights))
        if self.way == "sum" and not self.spreads:
            return
        if more:
            fix = "name plausibility among the functions, with a weight"
            yield RewardError(f"{given} with a weight of plausibility", "it is only added", fix)
        if self.way == "sum":
            return
        if sum(w != 0 for w in weights) < 2:
            why = "one reward alone has none to disagree with"
            yield RewardError(given, why, "give two rewards or more, or leave combine out")
        if any(w < 0 for w in weights):
            why = "a negative weight is no part of a whole"
            yield RewardError(f"{given} and weights {list(weights)}", why, "turn the reward round")
        if self.way == "minimum" and len({w for w in weights if w}) > 1:
            why = "the smallest score is taken, whatever its weight"
            yield RewardError(f"{given} and weights {list(weights)}", why, "leave weights out")

    def _scale_problems(self, count: int) -> Iterator[InputError]:
        for name, row in (("centres", self.centres), ("spreads", self.spreads)):
            if row and len(row) != count:
                given = f"{len(row)} {name} for {count} rewards"
                yield RewardError(given, "each reward has its own scale", "give one for each")
            if not all(isfinite(value) for value in row):
                yield RewardError(f"{name} {list(row)}", "not all are numbers", "correct them")
        if any(spread <= 0 for spread in self.spreads):
            why = "scores are divided by it"
            yield RewardError(f"spreads {list(self.spreads)}", why, "give numbers above 0")
        if self.centres and not self.spreads:
            given = f"centres {list(self.centres)} without spreads"
            yield RewardError(given, "a scale has both", SCALE)
        if self.way in HEED and not self.spreads:
            why = "it compares scores with one another, and they may be on different scales"
            yield RewardError(f"combine: {self.way} without spreads", why, SCALE)


def dispute_problems(limit: float | None, count: int) -> list[InputError]:
    """Tell why no order can be disputed: there are fewer than two rewards that count."""
    if limit is None or count > 1:
        return []
    fix = "give two rewards or more, or leave max_dispute out"
    return [RewardError(f"max_dispute: {limit:g}", "one reward disputes nothing", fix)]


def disputed_share(rows: Sequence[Values], weights: Sequence[float]) -> float:
    """Return the share of response pairs that two rewards order in opposite ways.

    Args:
        rows: per reward, its score of each response of a group.
        weights: one per reward; 0 leaves it out, below 0 turns its order round.
    """
    pairs = list(combinations(range(len(rows[0])), 2)) if rows else []
    disputed = sum(
        {1, -1} <= {_order(row[i], row[j], w) for row, w in zip(rows, weights, strict=True)}
        for i, j in pairs
    )
    return disputed / len(pairs) if pairs else 0.0


def _order(first: float | None, second: float | None, weight: float) -> int:
    """Return 1 where the first is better, −1 where the second is, 0 where that is not told."""
    if first is None or second is None:
        return 0
    lead = weight * (first - second)
    return (lead > 0) - (lead < 0)
