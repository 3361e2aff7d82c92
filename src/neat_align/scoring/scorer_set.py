"""Several scorers as one: every score is kept, and what they combine to is what trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neat_align.errors import RewardError
from neat_align.scoring.base import Scorer, Unscored
from neat_align.scoring.combination import Combination, disputed_share
from neat_align.scoring.notes import Notes
from neat_align.types import LARGEST_SCORE, Group, Response, is_usable_score

SUM = Combination()


class ScorerSet:
    """Scores groups with several scorers.

    Args:
        scorers: one or more; equal names are told apart by a number.
        weights: one per scorer, 1 by default.
        combination: how scores become one: by default their weighted sum.

    Attributes:
        unscored: why groups were left out, by their query's id.

    Raises:
        RewardError: no scorer, or not one weight for each.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        weights: Sequence[float] | None = None,
        combination: Combination = SUM,
    ) -> None:
        weights = list(weights) if weights is not None else [1.0] * len(scorers)
        if not scorers or len(weights) != len(scorers):
            raise RewardError(
                f"{len(scorers)} scorers and {len(weights)} weights",
                "each scorer needs one weight, and there must be a scorer",
                "give as many weights as scorers, or none for equal weights",
            )
        self.scorers, self.weights, self.combination = list(scorers), weights, combination
        self.unscored: dict[str, str] = {}
        self._kept: list[bool] = []  # of each response of the last call
        self.names = _distinct([scorer.name for scorer in scorers])

    def score(self, groups: Sequence[Group]) -> list[Group]:
        """Score groups: `scores` by scorer, and what they combine to as `score`.

        A scorer that does not apply to a response (None) is left out of it. A group with a
        response that is `Unscored` is left out, and in `unscored`.

        Raises:
            RewardError: no scorer applies to some response, or one gives NaN or infinity.
        """
        return [group for group in self.score_each(groups) if group is not None]

    def score_each(self, groups: Sequence[Group]) -> list[Group | None]:
        """Score groups, with None in the place of a group that is left out."""
        tables = [scorer.score(groups) for scorer in self.scorers]
        found = [
            self._scored_group(group, [table[g] for table in tables])
            for g, group in enumerate(groups)
        ]
        self._kept = [
            scored is not None
            for group, scored in zip(groups, found, strict=True)
            for _ in group.responses
        ]
        return found

    def _scored_group(self, group: Group, rows: Sequence[Sequence[float | None]]) -> Group | None:
        if self._note_unscored(group, rows):
            return None
        scored = (
            self._scored(group, response, [row[i] for row in rows])
            for i, response in enumerate(group.responses)
        )
        return Group(group.query, tuple(scored))

    def _note_unscored(self, group: Group, rows: Sequence[Sequence[float | None]]) -> bool:
        """Tell whether a score of the group is owed; the reason goes to `unscored`."""
        why = [value.why for row in rows for value in row if isinstance(value, Unscored)]
        self.unscored.pop(group.query.id, None)
        if why:
            self.unscored[group.query.id] = why[0]
        return bool(why)

    @property
    def _notes(self) -> list[tuple[str, Notes]]:
        found = ((name, getattr(s, "notes", None)) for name, s in zip(self.names, self.scorers))
        return [(name, notes) for name, notes in found if isinstance(notes, Notes)]

    def watch(self, trainer_state: Callable[[], Any]) -> None:
        """Let reward functions see the training that they score for."""
        for _, notes in self._notes:
            notes.trainer_state = trainer_state

    def take_metrics(self) -> dict[str, float]:
        """Take what `log_metric` was told since the last time: means, over all functions."""
        whole = Notes()
        for _, notes in self._notes:
            for metric, values in notes.metrics.items():
                whole.metrics.setdefault(metric, []).extend(values)
            notes.metrics = {}
        return whole.take_metrics()

    def take_extras(self) -> dict[str, list[Any]]:
        """Take the columns that `log_extra` was told in the last call of each function.

        Where two functions have a column of one name, the second is "FUNCTION/COLUMN".
        """
        columns: dict[str, list[Any]] = {}
        for name, notes in self._notes:
            for column, told in notes.take_extras().items():
                values = [value for value, kept in zip(told, self._kept, strict=True) if kept]
                columns[f"{name}/{column}" if column in columns else column] = values
        return columns

    @property
    def reads_source(self) -> bool:
        """Whether a part of the scores comes from how a response was asked for."""
        return any(getattr(scorer, "reads_source", False) for scorer in self.scorers)

    @property
    def judging(self) -> Callable[[Response], float | None] | None:
        """Return the function that scores by what does not look at a response's source.

        None where there is no such scorer; the function gives None where none applies.
        """
        blind = [not getattr(scorer, "reads_source", False) for scorer in self.scorers]

        def value(response: Response) -> float | None:
            own = zip(self.names, blind, strict=True)
            scores = [response.scores.get(name) if counts else None for name, counts in own]
            return self.combination(scores, self.weights)

        return value if any(blind) else None

    def dispute(self, group: Group) -> float:
        """Return the share of a scored group's response pairs whose order scorers dispute."""
        rows = [[r.scores.get(name) for r in group.responses] for name in self.names]
        return disputed_share(rows, self.weights)

    def _scored(self, group: Group, response: Response, values: list[float | None]) -> Response:
        combined = self.combination(values, self.weights)
        if combined is None:
            raise RewardError(
                f"a response to query {group.query.id} ({group.query.text[:40]!r})",
                f"the scorers gave None for it ({', '.join(self.names)})",
                "return a number for every response, or add a scorer that always applies",
            )
        if not is_usable_score(combined):
            raise RewardError(
                f"scores {dict(zip(self.names, values))} of a response to {group.query.id}",
                f"their {self._told} {combined:g} is no number up to {LARGEST_SCORE:g} in "
                "size, and nothing can be ranked by it",
                "correct the scorer that answers so, or its weight",
            )
        return response.with_scores(dict(zip(self.names, values)), combined)

    @property
    def _told(self) -> str:
        way = self.combination.way
        return "weighted sum" if way == "sum" else way.replace("_", " ")


def _distinct(names: Sequence[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name}_{names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]
