"""Queries with another query's response: what KTO estimates its reference point from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neat_align.modeling.tokenized import TokenizedGroup


def mismatched_pairs(
    groups: Sequence[TokenizedGroup], other_queries: Iterable[list[int]]
) -> list[TokenizedGroup]:
    """Each query with the first response of the next group.

    Args:
        groups: of one optimiser step.
        other_queries: token ids of further queries, looked at only where all groups have
            the same one; without a different one there are no pairs.
    """
    queries = [g.query_ids for g in groups]
    if all(query == queries[0] for query in queries):
        another = next((ids for ids in other_queries if ids != queries[0]), None)
        if another is None:
            return []
        queries = [another] * len(queries)
    shifted = [*groups[1:], groups[0]]
    return [
        TokenizedGroup(query, other.response_ids[:1], [0.0], other.sources[:1])
        for query, other in zip(queries, shifted, strict=True)
    ]
