"""The loop that draws tokens, whoever computes the logits.

`model.generate` draws until the slowest row of a batch is done and ties every draw to the
batch it happens in. This loop drops finished rows, takes in waiting ones where the decoder
can, and draws each response from its own stream of uniform numbers by inverting the
cumulative distribution: the same seed gives the same response, whatever else is in the
batch (up to rounding in the logits).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from neat_align.config import NEATSettings
from neat_align.errors import ModelError
from neat_align.sampling.base import Decoding

REFILL = 0.25
"""Share of the seats that must be free before waiting rows are taken in."""


class Decoder(Protocol):
    """Computes next-token logits for rows that come and go.

    Attributes:
        takes_more: whether `add` may be called while rows are live.
    """

    takes_more: bool

    def add(self, prompts: Sequence[list[int]]) -> Tensor:
        """Read prompts; their rows follow the live ones. Return [len(prompts), V]."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token per live row, [rows]; return [rows, V]."""
        ...

    def keep(self, alive: Tensor) -> None:
        """Drop the rows where `alive` [rows] is False."""
        ...


@dataclass(frozen=True)
class Ends:
    """What ends a response before it is `max_new_tokens` long.

    Attributes:
        token_ids: end tokens.
        text: whether a response's ids so far hold a stop string; None where there is none.
    """

    token_ids: frozenset[int]
    text: Callable[[Sequence[int]], bool] | None = None

    def __call__(self, ids: Sequence[int]) -> bool:
        return ids[-1] in self.token_ids or (self.text is not None and self.text(ids))


@torch.no_grad()
def draw_tokens(
    decoder: Decoder,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    decoding: Decoding,
    ends: Ends,
    seats: int = NEATSettings.sampling_batch_size,
    progress: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """Draw the token ids of responses, the end token included where it was drawn.

    Args:
        decoder: without live rows.
        prompts: token ids, one list per response, in the order they are taken in.
        seeds: of each response's own stream of uniform numbers.
        seats: rows that are live at a time.
        progress: called with the number of responses that ended.
    """
    loop = _Loop(decoder, list(prompts), list(seeds), decoding, ends, seats, progress)
    return loop.run()


@dataclass
class _Loop:
    decoder: Decoder
    prompts: list[list[int]]
    seeds: list[int]
    decoding: Decoding
    ends: Ends
    seats: int
    progress: Callable[[int], None] | None
    live: list[int] = field(default_factory=list)  # the prompt of each of the decoder's rows

    def run(self) -> list[list[int]]:
        self.drawn: list[list[int]] = [[] for _ in self.prompts]
        self.warp = warpers(self.decoding)
        self.uniforms: dict[int, Tensor] = {}
        waiting = deque(range(len(self.prompts)))
        while waiting or self.live:
            if waiting and self._has_room():
                new = [waiting.popleft() for _ in range(min(len(waiting), self._free))]
                logits = self.decoder.add([self.prompts[i] for i in new])
                before, self.live = self.live, [*self.live, *new]
                self._draw(logits, new, [True] * len(before))
                continue
            tokens = torch.tensor([self.drawn[i][-1] for i in self.live])
            self._draw(self.decoder.step(tokens), self.live, [])
        return self.drawn

    @property
    def _free(self) -> int:
        return self.seats - len(self.live)

    def _has_room(self) -> bool:
        if not self.live:
            return True
        return self.decoder.takes_more and self._free >= max(1, REFILL * self.seats)

    def _draw(self, logits: Tensor, rows: Sequence[int], alive: list[bool]) -> None:
        """Draw a token for each of `rows`, the last live ones; `alive` tells of those before."""
        uniform = torch.stack([self._uniform(i)[len(self.drawn[i])] for i in rows])
        warped = self.warp(None, logits.float())  # type: ignore[arg-type]
        for i, token in zip(rows, pick(warped, uniform, self.decoding).tolist(), strict=True):
            ids = self.drawn[i]
            ids.append(token)
            alive = [*alive, not (self.ends(ids) or len(ids) == self.decoding.max_new_tokens)]
        if all(alive):
            return
        self.decoder.keep(torch.tensor(alive))
        for i, goes_on in zip(self.live, alive, strict=True):
            if not goes_on:
                del self.uniforms[i]
        self.live = [i for i, goes_on in zip(self.live, alive, strict=True) if goes_on]
        if self.progress:
            self.progress(alive.count(False))

    def _uniform(self, i: int) -> Tensor:
        """Return the response's own numbers, one per token that it may have."""
        if i not in self.uniforms:
            generator = torch.Generator().manual_seed(self.seeds[i])
            self.uniforms[i] = torch.rand(self.decoding.max_new_tokens, generator=generator)
        return self.uniforms[i]


def warpers(decoding: Decoding) -> LogitsProcessorList:
    """Collect what turns logits into those of the distribution that is drawn from."""
    found = LogitsProcessorList()
    if decoding.temperature not in (0.0, 1.0):
        found.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k > 0:
        found.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1.0:
        found.append(TopPLogitsWarper(decoding.top_p))
    if decoding.min_p > 0.0:
        found.append(MinPLogitsWarper(decoding.min_p))
    return found


def pick(logits: Tensor, uniform: Tensor, decoding: Decoding) -> Tensor:
    """Pick one token per row: the likeliest, or where the cumulative probability passes u.

    Args:
        logits: [rows, V] float32, warped.
        uniform: [rows], each in [0, 1).

    Raises:
        ModelError: some are no numbers, from which nothing can be drawn.
    """
    if logits.isnan().any():
        raise ModelError(
            "the model that answers",
            "what it computes is not a number (NaN): its weights are damaged, or its number "
            "format cannot hold what it computes",
            "try --dtype float32 (model.dtype: float32); if that fails, too, fetch the weights "
            "again, or look at how they were trained",
        )
    if decoding.temperature == 0.0:
        return logits.argmax(-1)
    cumulative = logits.softmax(-1).cumsum(-1, dtype=torch.float64)
    # Scaling by the last entry keeps rounding from pointing past the end.
    threshold = uniform.to(cumulative.device)[:, None] * cumulative[:, -1:]
    return (
        torch.searchsorted(cumulative, threshold, right=True)
        .squeeze(-1)
        .clamp(max=logits.shape[-1] - 1)
    )
