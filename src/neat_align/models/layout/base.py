"""Lay groups out for a model, within a budget of tokens.

Memory grows with the tokens of a pass, not with its groups: whole groups share a pass up to
the budget, and a group beyond it is split by its responses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from neat_align import defaults
from neat_align.models.layout.rows import Rows, token_logps
from neat_align.models.tokenized import TokenizedGroup

TOKENS = defaults.TOKENS_PER_PASS
"""Default tokens of one forward pass."""


@dataclass(frozen=True)
class Layout(ABC):
    """How groups become forward passes of one model; `layout_of` chooses.

    Attributes:
        model: without wrappers.
        pad_id: any id; padded positions are masked.
        max_tokens: tokens of one forward pass, padding included.
    """

    model: Any
    pad_id: int
    max_tokens: int = TOKENS

    @abstractmethod
    def rows(self, groups: Sequence[TokenizedGroup]) -> Rows:
        """Lay the groups out for one forward pass, whatever the budget."""

    @abstractmethod
    def tokens(self, groups: Sequence[TokenizedGroup]) -> int:
        """Count the tokens of that forward pass, padding included."""

    def passes(self, groups: Sequence[TokenizedGroup]) -> Iterator[list[TokenizedGroup]]:
        """Yield consecutive groups that fit into one forward pass; a larger one stands alone."""
        part: list[TokenizedGroup] = []
        for group in groups:
            if part and self.tokens([*part, group]) > self.max_tokens:
                yield part
                part = []
            part.append(group)
        if part:
            yield part

    def split(self, group: TokenizedGroup) -> list[TokenizedGroup]:
        """Split a group into several with its query, within the budget where that is possible.

        Their responses are the group's, in order; only ids are kept. No response is cut.
        """
        parts = [[group.response_ids[0]]]
        for response in group.response_ids[1:]:
            longer = replace(group, response_ids=[*parts[-1], response])
            if self.tokens([longer]) > self.max_tokens:
                parts.append([response])
            else:
                parts[-1].append(response)
        return [TokenizedGroup(group.query_ids, ids, [0.0] * len(ids), []) for ids in parts]

    @torch.no_grad()
    def response_logps(self, groups: Sequence[TokenizedGroup]) -> list[list[float]]:
        """Sum the log-probs of each response's tokens, in nats, per group; no gradient.

        Any number of groups, of any lengths. The model is run in evaluation mode; its mode
        is restored.
        """
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        numbered = [(i, piece) for i, group in enumerate(groups) for piece in self.split(group)]
        numbered.sort(key=lambda one: len(one[1].query_ids))
        numbers = iter([i for i, _ in numbered])
        result: list[list[float]] = [[] for _ in groups]
        try:
            for part in self.passes([piece for _, piece in numbered]):
                sums = token_logps(self.model, self.rows(part).to(device)).sum(-1)
                for row in sums.split([len(g.response_ids) for g in part]):
                    result[next(numbers)] += row.tolist()
        finally:
            self.model.train(was_training)
        return result
