"""What a sampler is: requests in, responses out, one for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from neat_align.types import Query, Response, Source


@dataclass(frozen=True)
class SamplingRequest:
    """One response to draw.

    Attributes:
        query: the query to answer.
        source: plain, positive or negative.
        steering: the steering prompt, "" for a plain response.
        seed: fixes the draw, whatever else is in the batch.
    """

    query: Query
    source: Source
    steering: str
    seed: int


@dataclass(frozen=True)
class Decoding:
    """How tokens are drawn.

    Attributes:
        max_new_tokens: response tokens at most, EOS included.
        temperature: 0 is greedy.
        top_p, top_k, min_p: the usual truncations; 1.0, 0 and 0.0 switch them off.
        stop_strings: strings that end a response, which keeps the text before them.
    """

    max_new_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop_strings: tuple[str, ...] = ()


class Sampler(Protocol):
    """Anything that answers requests; the result is in the order of the requests."""

    name: str

    def sample(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Response]: ...
