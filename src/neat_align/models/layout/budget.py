"""How much goes into one forward pass, counted in tokens.

Memory grows with the tokens of a pass, not with its groups: whole groups share a pass up to
the budget, and a group beyond it is split by its responses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from neat_align import defaults
from neat_align.models.layout.packed import can_pack
from neat_align.models.tokenized import TokenizedGroup

TOKENS = defaults.TOKENS_PER_PASS
"""Default tokens of one forward pass."""


def passes(
    model: Any, groups: Sequence[TokenizedGroup], limit: int = TOKENS, packed: bool = True
) -> Iterator[list[TokenizedGroup]]:
    """Consecutive groups that fit into one forward pass each; a larger one stands alone.

    `packed=False` counts one row a response, whatever the model; so everywhere here.
    """
    part: list[TokenizedGroup] = []
    for group in groups:
        if part and pass_tokens(model, [*part, group], packed) > limit:
            yield part
            part = []
        part.append(group)
    if part:
        yield part


def split_group(
    model: Any, group: TokenizedGroup, limit: int = TOKENS, packed: bool = True
) -> list[TokenizedGroup]:
    """The group as several with the same query, each within the limit where that is possible.

    Their responses are the group's, in order; only ids are kept. One response is never cut.
    """
    parts = [[group.response_ids[0]]]
    for response in group.response_ids[1:]:
        longer = replace(group, response_ids=[*parts[-1], response])
        if pass_tokens(model, [longer], packed) > limit:
            parts.append([response])
        else:
            parts[-1].append(response)
    return [TokenizedGroup(group.query_ids, ids, [0.0] * len(ids), []) for ids in parts]


def pass_tokens(model: Any, groups: Sequence[TokenizedGroup], packed: bool = True) -> int:
    """Tokens of the forward pass, padding included, in the layout the model gets."""
    if packed and can_pack(model, groups):
        return sum(len(g.query_ids) + sum(map(len, g.response_ids)) for g in groups)
    rows = sum(len(g.response_ids) for g in groups)
    return rows * max(len(g.query_ids) + len(r) for g in groups for r in g.response_ids)
