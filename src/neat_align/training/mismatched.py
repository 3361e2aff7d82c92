"""Queries with another query's response: what KTO estimates its reference point from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neat_align.models.tokenized import TokenizedGroup


def mismatched_pairs(
    groups: Sequence[TokenizedGroup], other_queries: Iterable[list[int]]
) -> list[TokenizedGroup]:
    """Each query with the first response of the next group that has another query.

    Args:
        groups: of one optimiser step; those in a negative context are left out, since the
            same group stands beside them on the clean query.
        other_queries: token ids of further queries, looked at only where all groups have
            the same one; without a different one there are no pairs.
    """
    groups = [group for group in groups if group.clean]
    if not groups:
        return []
    queries = [group.query_ids for group in groups]
    if all(query == queries[0] for query in queries):
        another = next((ids for ids in other_queries if ids != queries[0]), None)
        shifted = [*groups[1:], *groups[:1]]
        return [] if another is None else [_pair(another, group) for group in shifted]
    return [_pair(query, _next_other(groups, i)) for i, query in enumerate(queries)]


def _next_other(groups: Sequence[TokenizedGroup], place: int) -> TokenizedGroup:
    """The first group after `place`, around the end, whose query is another one."""
    around = (*groups[place + 1 :], *groups[:place])
    return next(group for group in around if group.query_ids != groups[place].query_ids)


def _pair(query_ids: list[int], group: TokenizedGroup) -> TokenizedGroup:
    return TokenizedGroup(query_ids, group.response_ids[:1], [0.0], group.sources[:1])
