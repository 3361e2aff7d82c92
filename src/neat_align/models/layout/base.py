"""Lay groups out for a model, within a budget of tokens, and compute their log-probs.

The one place where log-probabilities of responses are computed, for training, reference,
scoring and evaluation. Only the positions that predict a response token reach the LM head,
and the log-softmax is done in float32 whatever the model's dtype.

Memory grows with the tokens of a pass, not with its groups: whole groups share a pass up to
the budget, and a group beyond it is split by its responses.

Shapes: B rows of L tokens; R responses, the longest of T tokens; M response tokens in all;
U positions that predict at least one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from neat_align.config import NEATSettings
from neat_align.models.cpu.attention import AttentionLayout, has_our_attention
from neat_align.models.label_logps import label_logps
from neat_align.models.tokenized import TokenizedGroup

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TOKENS = NEATSettings.max_tokens_per_pass
"""Default tokens of one forward pass."""

Record = TypeVar("Record", bound="DataclassInstance")


@dataclass(frozen=True)
class Rows:
    """Groups laid out for one forward pass.

    Attributes:
        input_ids: [B, L].
        position_ids: [B, L].
        attention_mask: [B, L] int, 1 where there is a token; or [1, 1, L, L] float, added to
            the scores; or a place-holder beside `attention`.
        response_mask: [R, T] bool, True on a response's tokens, which end at the last column.
        targets: [M], the response tokens, response by response.
        predicted_at: [M], the place of each target's logits among those that are kept.
        logits_to_keep: positions the LM head is needed at: [U], or how many at the end of
            each row.
        response_row, ends_at: [R], row and column of each response's last token.
        attention: how attention is computed, where the model has ours.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    response_mask: Tensor
    targets: Tensor
    predicted_at: Tensor
    logits_to_keep: int | Tensor
    response_row: Tensor
    ends_at: Tensor
    attention: AttentionLayout | None = None

    def to(self, device: Any) -> Rows:
        """Move the tensors to a device."""
        return on_device(self, device)

    def forward_arguments(self, model: Any) -> dict[str, Any]:
        """Return what a model's forward takes, whichever the layout.

        Raises:
            ValueError: the rows were laid out for another attention than the model's.
        """
        mask = self.attention_mask
        if mask.is_floating_point():  # an additive mask has the dtype it is added to
            mask = mask.to(next(model.parameters()).dtype)
        found = {
            "input_ids": self.input_ids,
            "attention_mask": mask,
            "position_ids": self.position_ids,
        }
        if self.attention is None:
            return found
        if not has_our_attention(model):  # it would be ignored, silently
            raise ValueError("these rows were laid out for a model after `prepare_for_packing`")
        return {**found, "layout": self.attention}


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


def token_logps(model: Any, rows: Rows) -> Tensor:
    """Compute the log-probs of the response tokens, [R, T] float32 in nats, 0 elsewhere.

    The logits are used up in the backward.

    Args:
        model: a causal LM, or a wrapper of one (PEFT, DDP …), called as `model(...)`.
    """
    logits = model(
        **rows.forward_arguments(model), logits_to_keep=rows.logits_to_keep, use_cache=False
    ).logits
    logps = label_logps(logits.flatten(0, 1), rows.predicted_at, rows.targets)
    mask = rows.response_mask
    return torch.zeros(mask.shape, device=logps.device).masked_scatter(mask, logps)


def group_sums(values: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return [R, …] rows in group order as [G, K, …], absent responses filled with 0."""
    return torch.nn.utils.rnn.pad_sequence(list(values.split(list(sizes))), batch_first=True)


def on_device(record: Record, device: Any) -> Record:
    """Return a record with its tensors on a device, in the dtypes that they have."""
    own = {field.name: getattr(record, field.name) for field in fields(record)}
    tensors = {name: value for name, value in own.items() if isinstance(value, Tensor)}
    return replace(record, **{name: value.to(device) for name, value in tensors.items()})
