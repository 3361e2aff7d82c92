"""Sampling in-process from a transformers model.

`model.generate` draws until the slowest row of a batch is done and ties every draw to the
batch it happens in. This loop removes finished rows as it goes, and draws each response
from its own stream of uniform numbers by inverting the cumulative distribution: the same
seed gives the same response, whatever else is in the batch (up to rounding in the logits).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from neat_align.prompt_format import PromptFormat
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.types import Response


class TransformersSampler:
    """Draws responses from a causal language model in this process.

    Args:
        model: decoder-only; put in evaluation mode while it samples.
        prompt_format: renders queries for the model's tokenizer.
        name: recorded with every response ("policy", "base").
        batch_size: responses drawn at a time.
        progress: called with the number of responses drawn, after each batch.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prompt_format: PromptFormat,
        name: str = "policy",
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self.prompt_format, self.name = model, prompt_format, name
        self.batch_size, self.progress = batch_size, progress

    def sample(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Response]:
        """One response for each request, in their order."""
        prompts = [self.prompt_format.query_ids(r.query.messages, r.steering) for r in requests]
        # Batches of similar prompt length need little padding.
        order = sorted(range(len(requests)), key=lambda i: len(prompts[i]))
        drawn: dict[int, list[int]] = {}
        was_training = self.model.training
        self.model.eval()
        try:
            for start in range(0, len(order), self.batch_size):
                part = order[start : start + self.batch_size]
                tokens = draw_tokens(
                    self.model,
                    [prompts[i] for i in part],
                    [requests[i].seed for i in part],
                    decoding,
                    self._eos_ids,
                )
                drawn.update(zip(part, tokens, strict=True))
                if self.progress:
                    self.progress(len(part))
        finally:
            self.model.train(was_training)
        return [self._response(request, drawn[i]) for i, request in enumerate(requests)]

    def _response(self, request: SamplingRequest, ids: list[int]) -> Response:
        finished = ids[-1] in self._eos_ids
        text = self.prompt_format.decode(ids[:-1] if finished else ids)
        token_ids: tuple[int, ...] | None = tuple(ids)
        cuts = [text.find(stop) for stop in self.prompt_format.stop_strings if stop in text]
        if cuts:  # the model went on to speak for the human: the answer ended before that
            text, token_ids, finished = text[: min(cuts)].strip(), None, True
        return Response(
            text=text,
            source=request.source,
            steering=request.steering,
            finish="stop" if finished else "length",
            seed=request.seed,
            sampler=self.name,
            token_ids=token_ids,
        )

    @property
    def _eos_ids(self) -> set[int]:
        """The tokenizer's EOS and whatever else the model's generation config stops at."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        listed = configured if isinstance(configured, list) else [configured]
        return {self.prompt_format.tokenizer.eos_token_id, *(i for i in listed if i is not None)}


@torch.no_grad()
def draw_tokens(
    model: PreTrainedModel,
    prompts: list[list[int]],
    seeds: list[int],
    decoding: Decoding,
    eos_ids: set[int],
) -> list[list[int]]:
    """Response token ids of one batch, the end token included where it was drawn.

    Args:
        model: in evaluation mode.
        prompts: token ids, one list for each response.
        seeds: of each response's own stream of uniform numbers.
        eos_ids: tokens that end a response.
    """
    device = next(model.parameters()).device
    eos = torch.tensor(sorted(eos_ids), device=device)
    uniforms = _uniforms(seeds, decoding.max_new_tokens).to(device)
    warp = _warpers(decoding)
    rows = torch.arange(len(prompts), device=device)  # which prompt each live row answers
    drawn: list[list[int]] = [[] for _ in prompts]
    for step, logits, keep in _decode(model, prompts, device, decoding.max_new_tokens):
        tokens = _pick(warp(None, logits.float()), uniforms[rows, step], decoding)  # type: ignore[arg-type]
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            drawn[row].append(token)
        alive = ~torch.isin(tokens, eos)
        rows = rows[alive]
        keep(tokens, alive)
    return drawn


Keep = Callable[[torch.Tensor, torch.Tensor], None]


def _decode(
    model: PreTrainedModel, prompts: list[list[int]], device: torch.device, max_new_tokens: int
) -> Iterator[tuple[int, torch.Tensor, Keep]]:
    """Yields (step, next-token logits [rows, V], keep) until no row is left.

    The caller answers each step with `keep(tokens, alive)`: the token drawn for each row,
    and which rows go on. Prompts are left-padded; the cache shrinks with the rows. A prompt
    that several rows share is read once, and its cache copied to each of them.
    """
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    place = {prompt: i for i, prompt in enumerate(distinct)}
    rows = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=device)
    ids, mask = _left_pad([list(prompt) for prompt in distinct], device)
    cache = DynamicCache(config=model.config.get_text_config())
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    state: dict[str, torch.Tensor] = {}

    def keep(tokens: torch.Tensor, alive: torch.Tensor) -> None:
        state["tokens"], state["alive"] = tokens, alive

    for step in range(max_new_tokens):
        output: Any = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = output.logits[:, -1]
        if step == 0:
            cache.batch_select_indices(rows)
            logits, mask, positions = logits[rows], mask[rows], positions[rows]
        yield step, logits, keep
        tokens, alive = state["tokens"], state["alive"]
        if not alive.any():
            return
        if not alive.all():
            cache.batch_select_indices(alive.nonzero().squeeze(-1))
            tokens, mask, positions = tokens[alive], mask[alive], positions[alive]
        ids = tokens[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1


def _left_pad(prompts: list[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def _uniforms(seeds: list[int], count: int) -> torch.Tensor:
    """One stream of `count` uniform numbers for each seed, [len(seeds), count]."""
    generator = torch.Generator()
    return torch.stack([torch.rand(count, generator=generator.manual_seed(seed)) for seed in seeds])


def _warpers(decoding: Decoding) -> LogitsProcessorList:
    warpers = LogitsProcessorList()
    if decoding.temperature not in (0.0, 1.0):
        warpers.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k > 0:
        warpers.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1.0:
        warpers.append(TopPLogitsWarper(decoding.top_p))
    if decoding.min_p > 0.0:
        warpers.append(MinPLogitsWarper(decoding.min_p))
    return warpers


def _pick(logits: torch.Tensor, uniform: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """One token a row: the likeliest, or the one at which the cumulative probability passes u."""
    if decoding.temperature == 0.0:
        return logits.argmax(-1)
    cumulative = logits.softmax(-1).double().cumsum(-1)
    # Scaling by the last entry keeps rounding from pointing past the end.
    threshold = uniform[:, None] * cumulative[:, -1:]
    return (
        torch.searchsorted(cumulative, threshold, right=True)
        .squeeze(-1)
        .clamp(max=logits.shape[-1] - 1)
    )
