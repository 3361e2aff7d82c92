"""Log-probabilities of texts, without a gradient; `layout.base` computes those of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch

from neat_align.models.context import context_length
from neat_align.models.layout import TOKENS, layout_of
from neat_align.models.tokenized import TokenizedGroup, tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Group

WINDOW = 1024
"""Tokens of a bare text that are read at a time, if the model's context holds them."""


def response_logps(
    model: torch.nn.Module,
    prompt_format: PromptFormat,
    groups: Sequence[Group],
    max_tokens: int = TOKENS,
) -> list[list[float]]:
    """Sum the log-probs of each response on its clean query, in nats, per group."""
    tokenized = [tokenize_group(g, prompt_format) for g in groups]
    return layout_of(model, prompt_format.pad_id, max_tokens).response_logps(tokenized)


def bare_logps(
    model: torch.nn.Module,
    prompt_format: PromptFormat,
    texts: Sequence[tuple[str, Sequence[str]]],
) -> list[list[tuple[float, int]]]:
    """Compute log-likelihoods of texts that no chat template frames, in nats, and their tokens.

    A text that does not fit into a window is cut: each window is read behind the same start.

    Args:
        texts: what is read first and does not count ("" for nothing), and what goes on from it.
    """
    window = min(WINDOW, context_length(model) or WINDOW)
    groups, cuts = [], []
    for start, options in texts:
        head, tails = prompt_format.bare_ids(start, options)
        room = max(1, window - len(head))
        cut = [[tail[i : i + room] for i in range(0, len(tail), room)] for tail in tails]
        parts = [part for own in cut for part in own]
        groups.append(TokenizedGroup(head, parts, [0.0] * len(parts), []))
        cuts.append([(len(own), len(tail)) for own, tail in zip(cut, tails, strict=True)])
    order = sorted(range(len(groups)), key=lambda i: sum(map(len, groups[i].response_ids)))
    found = layout_of(model, prompt_format.pad_id).response_logps([groups[i] for i in order])
    sums = {i: iter(row) for i, row in zip(order, found, strict=True)}
    return [
        [(sum(islice(sums[i], parts)), tokens) for parts, tokens in own]
        for i, own in enumerate(cuts)
    ]


@torch.no_grad()
def text_nll(
    model: torch.nn.Module, rows: Sequence[Sequence[int]], batch_size: int = 32
) -> list[tuple[float, int]]:
    """Compute per row of token ids its negative log-likelihood, in nats, and its tokens.

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
