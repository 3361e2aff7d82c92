"""What an engine is: a copy of the policy, held elsewhere, that draws its responses faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from neat_align.errors import UnansweredError
from neat_align.sampling.base import Decoding


@dataclass(frozen=True)
class Drawn:
    """One response as an engine reports it.

    Attributes:
        token_ids: with the token that ended it, where one did.
        logps: of each token, in nats, under the distribution that it was drawn from.
    """

    token_ids: list[int]
    logps: list[float]


class Engine(Protocol):
    """Draws from a copy of the policy's weights."""

    repeats_seeds: bool
    """Whether a request's seed fixes its response."""

    def renew(self) -> None:
        """Replace the engine's weights by the policy's; all ranks call it together."""

    def draw(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        decoding: Decoding,
        stop_token_ids: Sequence[int],
        stop_strings: Sequence[str],
    ) -> Sequence[Drawn | UnansweredError]:
        """One response for each prompt, or why there is none.

        All ranks call it together, each with its own prompts.
        """

    def close(self) -> None:
        """Leave nothing behind that the training made."""
