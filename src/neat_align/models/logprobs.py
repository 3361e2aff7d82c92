"""Token log-probabilities of responses: the one place where they are computed.

Only the positions that predict a response token reach the LM head, and the log-softmax is
done in float32 whatever the model's dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from neat_align.models.cpu.attention import has_our_attention
from neat_align.models.label_logps import label_logps
from neat_align.models.layout.budget import TOKENS, passes, split_group
from neat_align.models.layout.packed import lay_out
from neat_align.models.tokenized import TokenizedGroup, tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Group


def token_logps(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Log-probabilities of the response tokens, [R, T] float32 in nats, 0 where there is none.

    Args:
        model: a causal LM, or a wrapper of one (PEFT, DDP …), called as `model(...)`.
        batch: from `padded_batch` or `packed_batch`. The logits are used up in the backward.
    """
    mask = batch["response_mask"]
    kept = batch["logits_to_keep"]
    logits = model(
        **forward_arguments(model, batch),
        logits_to_keep=int(kept) if kept.dim() == 0 else kept,
        use_cache=False,
    ).logits
    logps = label_logps(logits.flatten(0, 1), batch["predicted_at"], batch["targets"])
    return torch.zeros(mask.shape, device=logps.device).masked_scatter(mask, logps)


def forward_arguments(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
    """What of a batch a model's forward takes, whichever the layout.

    Raises:
        ValueError: the batch was laid out for another attention than the model's.
    """
    attention_mask = batch["attention_mask"]
    if attention_mask.is_floating_point():  # an additive mask has the dtype it is added to
        attention_mask = attention_mask.to(next(model.parameters()).dtype)
    layout = {"layout": batch["layout"]} if "layout" in batch else {}
    if layout and not has_our_attention(model):  # it would be ignored, silently
        raise ValueError("this batch was laid out for a model after `prepare_for_packing`")
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": attention_mask,
        "position_ids": batch["position_ids"],
        **layout,
    }


def to_device(batch: dict[str, Any], device: Any) -> dict[str, Any]:
    """The batch with its tensors on `device`."""
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


def group_sums(values: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """[R, …] rows in group order → [G, K, …], absent responses filled with 0."""
    return torch.nn.utils.rnn.pad_sequence(list(values.split(list(sizes))), batch_first=True)


@torch.no_grad()
def tokenized_logps(
    model: Any, groups: Sequence[TokenizedGroup], pad_id: int, max_tokens: int = TOKENS
) -> list[list[float]]:
    """Sums over response tokens in nats, for each response of each group; no gradient.

    Args:
        model: run in evaluation mode; its mode is restored.
        groups: any number, of any lengths.
        pad_id: any id; padded positions are masked.
        max_tokens: of one forward pass; a larger group is split by its responses.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    pieces = [split_group(model, group, max_tokens) for group in groups]
    order = sorted(
        ((i, piece) for i, parts in enumerate(pieces) for piece in parts),
        key=lambda numbered: len(numbered[1].query_ids),
    )
    numbers = iter([i for i, _ in order])
    result: list[list[float]] = [[] for _ in groups]
    try:
        for part in passes(model, [piece for _, piece in order], max_tokens):
            batch = to_device(lay_out(model, part, pad_id), device)
            sums = token_logps(model, batch).sum(-1)
            for row in sums.split([len(g.response_ids) for g in part]):
                result[next(numbers)] += row.tolist()
    finally:
        model.train(was_training)
    return result


def response_logps(
    model: torch.nn.Module,
    prompt_format: PromptFormat,
    groups: Sequence[Group],
    max_tokens: int = TOKENS,
) -> list[list[float]]:
    """`tokenized_logps` of text groups on the clean query."""
    tokenized = [tokenize_group(g, prompt_format) for g in groups]
    return tokenized_logps(model, tokenized, prompt_format.pad_id, max_tokens)


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
