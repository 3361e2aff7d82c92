"""The padded layout: one row per response, left-padded so that all end at the last column.

row of response i:   [ pad … pad | query | response i ]
└ attention_mask 1 ┘
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from neat_align.models.layout.base import Layout, Rows
from neat_align.models.tokenized import TokenizedGroup


class Padded(Layout):
    """One row per response, for any model."""

    def rows(self, groups: Sequence[TokenizedGroup]) -> Rows:
        """Lay the groups out, a row per response."""
        return padded_rows(groups, self.pad_id)

    def tokens(self, groups: Sequence[TokenizedGroup]) -> int:
        """Count the tokens, each row as long as the longest."""
        return padded_tokens(groups)


def padded_tokens(groups: Sequence[TokenizedGroup]) -> int:
    """Count the tokens of padded rows, padding included."""
    rows = sum(len(g.response_ids) for g in groups)
    return rows * max(len(g.query_ids) + len(r) for g in groups for r in g.response_ids)


def padded_rows(groups: Sequence[TokenizedGroup], pad_id: int) -> Rows:
    """Lay groups out as R rows in group order, L tokens wide like the longest."""
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
    kept = longest + 1  # the query's last token predicts the first
    places = torch.arange(len(rows))[:, None] * kept + torch.arange(longest)
    return Rows(
        input_ids=input_ids,
        position_ids=(attention_mask.cumsum(-1) - 1).clamp(min=0),
        attention_mask=attention_mask,
        response_mask=response_mask,
        targets=input_ids[:, width - longest :][response_mask],
        predicted_at=places[response_mask],
        logits_to_keep=kept,
        response_row=torch.arange(len(rows)),
        ends_at=torch.full((len(rows),), width - 1),
    )
