"""Groups as token ids, and the padded batch made of them.

`tokenize_group` keeps query and responses apart; `padded_batch` lays them out as one row
for each response, left-padded so that all responses end at the last column:

    row of response i:   [ pad … pad | query | response i ]
                                     └ attention_mask 1 ┘

`packing.packed_batch` is the other layout: all groups in one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from neat_align.errors import DataError
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Document, Group, Source


@dataclass(frozen=True)
class TokenizedGroup:
    """One group as a trainer needs it.

    Attributes:
        query_ids: the clean query (or, where `negative_context` asks for it, the query
            with a negative prompt before it).
        response_ids: K ragged lists; the turn's end closes the finished ones.
        scores: K scores, higher is better.
        sources: K sources.
        reference: K sums of response-token log-probs under the reference model, in nats.
        weight: share of the group in the mean over groups (1 unless the same group
            stands in the batch twice).
        clean: whether nothing stands before the query; False in a negative context.
    """

    query_ids: list[int]
    response_ids: list[list[int]]
    scores: list[float]
    sources: list[Source]
    reference: list[float] | None = None
    weight: float = 1.0
    clean: bool = True

    def with_reference(self, reference: list[float]) -> TokenizedGroup:
        return replace(self, reference=reference)


def tokenize_group(
    group: Group,
    prompt_format: PromptFormat,
    steering: str = "",
    max_query_tokens: int | None = None,
) -> TokenizedGroup:
    """Token ids of a group; sampled ids are kept as they were drawn.

    A query longer than `max_query_tokens` loses its beginning: its end is what is asked.

    Raises:
        DataError: a response without a single token.
    """
    query_ids = prompt_format.query_ids(group.query, steering)
    response_ids = [
        list(r.token_ids)
        if r.token_ids
        else prompt_format.response_ids(r.text, r.finish, group.query)
        for r in group.responses
    ]
    if not all(response_ids):
        raise DataError(
            f"an empty response that did not end itself (query {group.query.id})",
            "it has no token to train on",
            "raise max_new_tokens, or drop empty responses",
        )
    return TokenizedGroup(
        query_ids=query_ids[-max_query_tokens:] if max_query_tokens else query_ids,
        response_ids=response_ids,
        scores=[float("nan") if r.score is None else r.score for r in group.responses],
        sources=[r.source for r in group.responses],
    )


def document_ids(document: Document, prompt_format: PromptFormat) -> tuple[list[int], list[int]]:
    """Token ids of a document's prompt (empty for plain text) and of its text with EOS."""
    query = document.query
    if query is None:
        return [], prompt_format.text_ids(document.text)
    answer = prompt_format.response_ids(document.text, "stop", query)
    return prompt_format.query_ids(query, document.steering), answer


def padded_batch(groups: Sequence[TokenizedGroup], pad_id: int) -> dict[str, torch.Tensor]:
    """One left-padded row for each response, in group order.

    Returns:
        `input_ids`, `attention_mask`, `position_ids` [R, L] (R = all responses, L = the
        longest row); `response_mask` [R, T], True on the response tokens among the last T
        columns (T = the longest response); `targets` [M], those tokens, row by row;
        `logits_to_keep`, how many positions at the end of the rows the LM head is needed
        at; `predicted_at` [M], the place of each target's logits among all that are kept;
        `response_row` and `ends_at` [R], row and column of each response's last token.
    """
    rows = [(g.query_ids, ids) for g in groups for ids in g.response_ids]
    width = max(len(q) + len(r) for q, r in rows)
    longest = max(len(r) for _, r in rows)
    input_ids = torch.full((len(rows), width), pad_id)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.long)
    response_mask = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, (query, response) in enumerate(rows):
        tokens = query + response
        input_ids[i, width - len(tokens) :] = torch.tensor(tokens)
        attention_mask[i, width - len(tokens) :] = 1
        response_mask[i, longest - len(response) :] = True
    position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    kept = longest + 1  # the query's last token predicts the first
    places = torch.arange(len(rows))[:, None] * kept + torch.arange(longest)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "position_ids": position_ids,
        "response_mask": response_mask,
        "targets": input_ids[:, width - longest :][response_mask],
        "logits_to_keep": torch.tensor(kept),
        "predicted_at": places[response_mask],
        "response_row": torch.arange(len(rows)),
        "ends_at": torch.full((len(rows),), width - 1),
    }
