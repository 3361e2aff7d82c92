"""Make scored groups from queries: the part of training that needs no gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from neat_align.errors import DataError
from neat_align.sampling.groups import GroupMaker
from neat_align.scoring import ScorerSet
from neat_align.training.engines.sampler import EngineSampler
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group, Query, Response, Source


@dataclass
class ScoredGroupMaker(GroupMaker):
    """A group maker whose groups are scored, timed and counted.

    Attributes:
        scorers: score every response on the clean query.
        responses: sampled so far.
    """

    scorers: ScorerSet = field(kw_only=True)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    responses: int = 0

    def make(self, queries: Sequence[Query], seed: int) -> list[Group]:
        """Return scored groups in the order of the queries, each whole.

        A query without all its responses, or without a score that it is owed, has none: see
        `unanswered`.
        """
        with self.stopwatch.time("sampling"):
            groups = self.drawn(queries, seed)
        drawn = [r for group in groups for r in group.responses[: self.plan.size]]
        return [group for group in self._scored(groups, drawn) if group is not None]

    def again(
        self, groups: Sequence[Group], sides: Sequence[Source], seed: int, turn: int
    ) -> list[Group | None]:
        """Return the groups with one side of each drawn again, and scored anew as a whole.

        None where a response or a score did not come; see `redrawn`.
        """
        with self.stopwatch.time("sampling"):
            found = self.redrawn(groups, sides, seed, turn)
        came = [(i, group) for i, group in enumerate(found) if group is not None]
        drawn = [r for i, group in came for r in group.responses if r.source == sides[i]]
        for (i, _), group in zip(came, self._scored([g for _, g in came], drawn), strict=True):
            found[i] = group
        return found

    def _scored(self, groups: Sequence[Group], drawn: Sequence[Response]) -> list[Group | None]:
        """Score groups, and count the responses in them that have just been drawn."""
        self.responses += len(drawn)
        with self.stopwatch.time("scoring"):
            scored = self.scorers.score_each(groups) if groups else []
        for phase in ("sampling", "scoring"):
            self.stopwatch.count(phase, sum(len(r.token_ids or ()) for r in drawn))
        return scored

    @property
    def engine(self) -> EngineSampler | None:
        """The engine that draws for the policy; None where it draws itself."""
        return self.policy if isinstance(self.policy, EngineSampler) else None

    def renew(self, queries: Sequence[Query]) -> dict[str, float]:
        """Give an engine the policy's weights, and return how far its log-probs differ."""
        if self.engine is None or not queries:
            return {}
        with self.stopwatch.time("sampling"):
            difference = self.engine.renew(queries, self.steering.negative)
        return {"engine/logp_difference": difference}

    def close(self) -> None:
        """Leave an engine as it was found."""
        if self.engine is not None:
            self.engine.engine.close()

    @property
    def unanswered(self) -> Mapping[str, str]:
        """Tell why queries have no group, by their id; what has no score counts."""
        return {**super().unanswered, **self.scorers.unscored}


def trainable(groups: Sequence[Group], warn: Callable[[str], None]) -> list[Group]:
    """Leave out responses that have no token, and warn of how many there were.

    Raises:
        DataError: no response is left of a group.
    """
    kept, dropped = [], 0
    for group in groups:
        good = tuple(r for r in group.responses if r.token_ids or r.text or r.finish == "stop")
        dropped += len(group.responses) - len(good)
        if not good:
            raise DataError(
                f"a group of empty responses (query {group.query.id})",
                "there is no token to train on",
                "raise max_new_tokens, or look at what the model answers with `neat sample`",
            )
        kept.append(group if len(good) == len(group.responses) else Group(group.query, good))
    if dropped:
        warn(f"{dropped} empty responses left out of {len(groups)} groups")
    return kept
