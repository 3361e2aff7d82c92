"""Token log-probabilities of responses: the one place where they are computed.

Only the positions that predict a response token reach the LM head, and the log-softmax is
done in float32 whatever the model's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from neat_align.modeling.packing import lay_out
from neat_align.modeling.tokenized import TokenizedGroup, tokenize_group
from neat_align.prompt_format import PromptFormat
from neat_align.types import Group


def token_logps(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Log-probabilities of the response tokens, [R, T] float32 in nats, 0 where there is none.

    Args:
        model: a causal LM, or a wrapper of one (PEFT, DDP …), called as `model(...)`.
        batch: from `padded_batch` or `packed_batch`.
    """
    mask = batch["response_mask"]
    logits = model(
        **forward_arguments(model, batch),
        logits_to_keep=int(batch["logits_to_keep"]),
        use_cache=False,
    ).logits
    # Select before the softmax: ragged responses leave many positions unused.
    rows = batch["response_row"][:, None].expand_as(mask)
    picked = logits[rows[mask], batch["predicted_at"][mask]].float()
    logps = picked.gather(-1, batch["targets"][mask][:, None]).squeeze(-1) - picked.logsumexp(-1)
    return torch.zeros(mask.shape, device=logps.device).masked_scatter(mask, logps)


def forward_arguments(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """What of a batch a model's forward takes, whichever the layout."""
    attention_mask = batch["attention_mask"]
    if attention_mask.is_floating_point():  # an additive mask has the dtype it is added to
        attention_mask = attention_mask.to(next(model.parameters()).dtype)
    segments = {"segments": batch["segments"]} if "segments" in batch else {}
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": attention_mask,
        "position_ids": batch["position_ids"],
        **segments,
    }


def to_device(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    """The batch with its tensors on `device`."""
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


def group_sums(values: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """[R, …] rows in group order → [G, K, …], absent responses filled with 0."""
    return torch.nn.utils.rnn.pad_sequence(list(values.split(list(sizes))), batch_first=True)


@torch.no_grad()
def tokenized_logps(
    model: Any, groups: Sequence[TokenizedGroup], pad_id: int, batch_size: int = 64
) -> list[list[float]]:
    """Sums over response tokens in nats, for each response of each group; no gradient.

    Args:
        model: run in evaluation mode; its mode is restored.
        groups: any number.
        pad_id: any id; padded positions are masked.
        batch_size: responses in one forward pass, about.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    result: list[list[float]] = []
    try:
        for part in by_rows(groups, batch_size):
            batch = to_device(lay_out(model, part, pad_id), device)
            sums = token_logps(model, batch).sum(-1)
            rows = sums.split([len(g.response_ids) for g in part])
            result += [row.tolist() for row in rows]
    finally:
        model.train(was_training)
    return result


def response_logps(
    model: torch.nn.Module,
    prompt_format: PromptFormat,
    groups: Sequence[Group],
    batch_size: int = 64,
) -> list[list[float]]:
    """`tokenized_logps` of text groups on the clean query."""
    tokenized = [tokenize_group(g, prompt_format) for g in groups]
    return tokenized_logps(model, tokenized, prompt_format.tokenizer.eos_token_id, batch_size)


@torch.no_grad()
def text_nll(
    model: torch.nn.Module, rows: Sequence[Sequence[int]], batch_size: int = 32
) -> list[tuple[float, int]]:
    """Of each row of token ids: its negative log-likelihood in nats, and the tokens in it.

    The first token, which nothing predicts, does not count; rows of one token give (0, 0).
    """
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found: dict[int, tuple[float, int]] = {}
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        width = max(len(rows[i]) for i in part)
        ids = torch.zeros((len(part), width), dtype=torch.long)
        for row, i in enumerate(part):  # right-padded: causal attention never looks ahead
            ids[row, : len(rows[i])] = torch.tensor(rows[i])
        ids = ids.to(device)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        nll = logits.logsumexp(-1) - logits.gather(-1, ids[:, 1:, None]).squeeze(-1)
        for row, i in enumerate(part):
            count = len(rows[i]) - 1
            found[i] = (float(nll[row, :count].sum()), count)
    return [found[i] for i in range(len(rows))]


def by_rows(groups: Sequence[TokenizedGroup], limit: int) -> Iterator[list[TokenizedGroup]]:
    """Consecutive groups with at most `limit` responses together (at least one group)."""
    part: list[TokenizedGroup] = []
    rows = 0
    for group in groups:
        if part and rows + len(group.response_ids) > limit:
            yield part
            part, rows = [], 0
        part.append(group)
        rows += len(group.response_ids)
    if part:
        yield part
