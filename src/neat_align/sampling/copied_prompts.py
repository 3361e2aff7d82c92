"""Decoding with transformers' own cache: for any decoder-only model that has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from neat_align.models.layout.packable import PACKABLE

TOLERANCE = 0.25
"""Nats by which a log-probability may differ with and without a cache, in 16 bit."""

_known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def can_copy(model: Any) -> bool:
    """Tell whether a model can be decoded with copies of transformers' own cache.

    Some have a cache of their own, or none. Families that the tests compare are known to; any
    other model is tried once, on a few tokens, against a forward pass without a cache.
    """
    if model.config.get_text_config().model_type in PACKABLE:
        return True
    if model not in _known:
        _known[model] = _decodes(model)
    return _known[model]


@torch.no_grad()
def _decodes(model: Any) -> bool:
    texts = [[5, 9, 6, 8, 7, 5, 9], [9, 7, 5, 6]]
    size = model.config.get_text_config().vocab_size
    texts = [[token % size for token in text] for text in texts]
    device = next(model.parameters()).device
    try:
        decoder = CopiedPrompts(model)
        decoder.add([text[:-2] for text in (*texts, texts[1])])
        drawn = [decoder.step(torch.tensor([t[i] for t in (*texts, texts[1])])) for i in (-2, -1)]
        ids = torch.tensor([texts[1]], device=device)
        whole = model(input_ids=ids, use_cache=False).logits[0, -2:]
    except Exception:  # what a cache of another kind raises is of any type
        return False
    both = (torch.stack([step[1] for step in drawn]), whole)
    ours, theirs = (logits.float().log_softmax(-1) for logits in both)
    tolerance = 1e-3 if next(model.parameters()).dtype == torch.float32 else TOLERANCE
    return bool((ours - theirs).abs().max() <= tolerance)


class CopiedPrompts:
    """A cache row per live row; a prompt that rows share is read once, then copied."""

    takes_more = False  # all rows are padded alike, on the left

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.device = next(model.parameters()).device

    def add(self, prompts: Sequence[list[int]]) -> Tensor:
        """Start anew with these prompts; return [len(prompts), V]."""
        distinct = list(dict.fromkeys(map(tuple, prompts)))
        place = {prompt: i for i, prompt in enumerate(distinct)}
        rows = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=self.device)
        ids, self.mask = self._left_pad(distinct)
        self.cache: Any = DynamicCache(config=self.model.config.get_text_config())
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)
        logits = self._forward(ids)[rows]
        self.cache.batch_select_indices(rows)
        self.mask, self.positions = self.mask[rows], self.positions[rows]
        return logits

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token per live row, [rows]; return [rows, V]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.positions = self.positions[:, -1:] + 1
        return self._forward(tokens[:, None].to(self.device))

    def keep(self, alive: Tensor) -> None:
        """Drop rows from the cache."""
        rows = alive.nonzero().squeeze(-1).to(self.device)
        self.cache.batch_select_indices(rows)
        self.mask, self.positions = self.mask[rows], self.positions[rows]

    def _forward(self, ids: Tensor) -> Tensor:
        output = self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def _left_pad(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        width = max(map(len, prompts))
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        return ids.to(self.device), mask.to(self.device)
