"""Say what a group holds: how many responses of each source, through which channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from neat_align.config import NEATSettings
from neat_align.errors import RecipeError, nearest, raise_all
from neat_align.prompts.phrasing import CHANNELS, COLUMN, Phrasing
from neat_align.prompts.steering import Steering
from neat_align.types import Source


@dataclass(frozen=True)
class GroupPlan:
    """How many responses of each source a group holds, and through which channels.

    Attributes:
        positive_channels, negative_channels: of the first response of that side, the second
            …, from the first again where there are more responses; empty for those that the
            steering pair has, in turn.

    Raises:
        RecipeError: fewer than two responses, a negative count, or an unknown channel.
    """

    plain: int = NEATSettings.plain_samples
    positive: int = NEATSettings.positive_samples
    negative: int = NEATSettings.negative_samples
    positive_channels: tuple[str, ...] = ()
    negative_channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.plain, self.positive, self.negative) < 0:
            raise RecipeError(f"{self}", "a count below zero", "use 0 or more of each source")
        if self.size < 2:
            raise RecipeError(
                f"{self.size} response(s) per query (plain {self.plain}, positive "
                f"{self.positive}, negative {self.negative})",
                "a group of one has nothing to rank",
                "ask for two or more responses in all, e.g. positive 2, negative 1 and plain 1",
            )
        raise_all(list(self._channel_problems()))

    def _channel_problems(self) -> Iterator[RecipeError]:
        for source, names in self.channels.items():
            for name in dict.fromkeys(names):
                if name not in CHANNELS:
                    given, why = f"{source}_channels {name!r}", "there is no such channel"
                    yield RecipeError(given, why, nearest(name, CHANNELS))
            if len(names) > self.counts[source]:
                yield RecipeError(
                    f"{source}_channels {', '.join(names)}",
                    f"{len(names)} channels for {self.counts[source]} {source} responses per "
                    "query: the last ones would never be used",
                    f"name as many as there are {source} responses at most, or raise their number",
                )

    def check_channels(self, steering: Steering | None) -> list[RecipeError]:
        """Find channels that the pair has no phrasing of, and answers that would stand twice."""
        absent = self._absent_channels(steering)
        return absent or list(self._repeated_answers(steering) if steering else ())

    def _repeated_answers(self, steering: Steering) -> Iterator[RecipeError]:
        """Yield an error for a side that takes more answers from the data than it has columns."""
        for source, count in self.counts.items():
            phrasings = steering.phrasings(source)
            columns = sum(one.channel == COLUMN for one in phrasings)
            channels = self.channels[source] or [*dict.fromkeys(p.channel for p in phrasings)]
            first = sorted(channels, key=lambda name: name != COLUMN)  # at worst it comes first
            taken = [first[i % len(first)] for i in range(count) if first].count(COLUMN)
            if taken > columns:
                yield RecipeError(
                    f"{count} {source} responses per query with steering {steering.name!r}",
                    f"{taken} of them would be taken from {columns} column(s) of the data: the "
                    "same answer would stand in a group twice",
                    f"ask for fewer, or name {source}_channels beside column",
                )

    def _absent_channels(self, steering: Steering | None) -> list[RecipeError]:
        return [
            RecipeError(
                f"{source}_channels {name!r} with steering {steering.name!r}",
                f"it has no {source} phrasing of that channel "
                f"(its own: {', '.join(known) or 'none'})",
                "add one to the pair, or name channels that it has",
            )
            for source, names in self.channels.items()
            if steering is not None
            for known in [sorted({p.channel for p in steering.phrasings(source)})]
            for name in dict.fromkeys(names)
            if name not in known
        ]

    def phrasings(self, steering: Steering | None) -> list[tuple[Source, Phrasing]]:
        """List all that may steer a response, positive first."""
        return [
            (source, phrasing)
            for source, count in self.counts.items()
            for phrasing in (steering.phrasings(source) if steering and count else ())
            if not self.channels[source] or phrasing.channel in self.channels[source]
        ]

    def to_json(self) -> dict[str, Any]:
        """Write what was asked for: without channels where none are named."""
        return {name: value for name, value in asdict(self).items() if value != ()}

    @property
    def counts(self) -> dict[Source, int]:
        """The responses per group of each side that is steered."""
        return {Source.POSITIVE: self.positive, Source.NEGATIVE: self.negative}

    @property
    def channels(self) -> dict[Source, tuple[str, ...]]:
        """The channels that are named for each side that is steered."""
        return {
            Source.POSITIVE: self.positive_channels,
            Source.NEGATIVE: self.negative_channels,
        }

    @property
    def size(self) -> int:
        """Count K, the responses per group."""
        return self.plain + self.positive + self.negative
