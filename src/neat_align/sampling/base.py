"""Define what a sampler is: requests in, responses out, one for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from neat_align.config import NEATSettings
from neat_align.prompts.phrasing import Phrasing, Turns
from neat_align.types import Query, Response, Source


@dataclass(frozen=True)
class SamplingRequest:
    """Ask for one response.

    Attributes:
        query: the query to answer.
        source: plain, positive or negative.
        steering: the steering prompt, "" for a plain response.
        seed: fixes the draw, whatever else is in the batch.
        turns: of another conversation, shown before the query.
        prefix: how the answer begins; the response holds it.
        column: of the query's data, where the answer stands; no sampler is asked for it.
    """

    query: Query
    source: Source
    steering: str
    seed: int
    turns: Turns = ()
    prefix: str = ""
    column: str = ""

    @property
    def phrasing(self) -> Phrasing:
        """What steers the response."""
        return Phrasing.of(self)

    @property
    def conversation(self) -> Query:
        """The query behind the turns that are shown before it."""
        return self.phrasing.before(self.query) if self.turns else self.query

    @property
    def provenance(self) -> dict[str, Any]:
        """What a response to it tells of where it came from."""
        return {
            "source": self.source,
            "steering": self.steering,
            "turns": self.turns,
            "prefix": self.prefix,
            "column": self.column,
        }


@dataclass(frozen=True)
class Decoding:
    """Say how tokens are drawn.

    Attributes:
        max_new_tokens: tokens drawn at most, EOS included; a prefix is none of them.
        temperature: 0 is greedy.
        top_p, top_k, min_p: the usual truncations; 1.0, 0 and 0.0 switch them off.
        stop_strings: strings that end a response, which keeps the text before them.
    """

    max_new_tokens: int = NEATSettings.max_new_tokens
    temperature: float = NEATSettings.temperature
    top_p: float = NEATSettings.top_p
    top_k: int = NEATSettings.top_k
    min_p: float = NEATSettings.min_p
    stop_strings: tuple[str, ...] = ()


class Sampler(Protocol):
    """Anything that answers requests; the result is in the order of the requests.

    An entry is None where no answer came: a server may refuse one query among many.
    """

    name: str

    def sample(
        self, requests: Sequence[SamplingRequest], decoding: Decoding
    ) -> Sequence[Response | None]: ...
