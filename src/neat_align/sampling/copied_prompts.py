"""Decoding with transformers' own cache: for any decoder-only model that has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


class CopiedPrompts:
    """A cache row for each live row; a prompt that rows share is read once, then copied."""

    takes_more = False  # all rows are padded alike, on the left

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.device = next(model.parameters()).device

    def add(self, prompts: Sequence[list[int]]) -> Tensor:
        """Starts anew with these prompts; [len(prompts), V]."""
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
        """[rows] → [rows, V]."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.positions = self.positions[:, -1:] + 1
        return self._forward(tokens[:, None].to(self.device))

    def keep(self, alive: Tensor) -> None:
        """Drops rows from the cache."""
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
