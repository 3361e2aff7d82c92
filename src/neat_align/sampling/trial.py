"""Draw the answers that a steering pair is tried by; `verdict` judges them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from neat_align.prompts.phrasing import Phrasing
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import SamplingRequest
from neat_align.sampling.groups import (
    GroupMaker,
    stable_seed,
    whole_groups,
    with_answers,
    with_data_answers,
)
from neat_align.sampling.plan import GroupPlan
from neat_align.types import Group, Query, Source

PLAIN = 4  # plain answers to a query at most

Tried = tuple[Source, Phrasing]


def tried_phrasings(steering: Steering, plan: GroupPlan, in_context: bool = False) -> list[Tried]:
    """List the phrasings to try: all that steer a response, each once.

    Args:
        in_context: the negative prompts also stand before queries that are trained on.
    """
    prompts = steering.negative if in_context else ()
    shown = [(Source.NEGATIVE, Phrasing(text)) for text in prompts]
    return list(dict.fromkeys([*plan.phrasings(steering), *shown]))


def by_channel(tried: Sequence[Tried]) -> list[list[Tried]]:
    """Sort what is tried by side and channel."""
    found: dict[tuple[Source, str], list[Tried]] = {}
    for source, one in tried:
        found.setdefault((source, one.channel), []).append((source, one))
    return list(found.values())


def tried_queries(queries: Sequence[Query], count: int, seed: int) -> list[Query]:
    """Draw some of the queries, by the seed."""
    places = random.Random(stable_seed("tried", seed)).sample(
        range(len(queries)), min(count, len(queries))
    )
    return [queries[i] for i in places]


def draw_trial(
    maker: GroupMaker, queries: Sequence[Query], phrasings: Sequence[Tried], seed: int
) -> list[Group]:
    """Draw a group per query: plain answers, one under each phrasing, and the data's."""
    sides = [sum(source == side for source, _ in phrasings) for side in Source]
    asked = [(Source.PLAIN, Phrasing())] * min(PLAIN, max(sides)) + list(phrasings)
    requests = [
        SamplingRequest(
            query,
            source,
            steered.system,
            stable_seed("trial", seed, query.id, slot),
            steered.turns,
            steered.prefix,
            steered.column,
        )
        for query in queries
        for slot, (source, steered) in enumerate(asked)
    ]
    drawn = with_data_answers(requests, lambda own: maker.policy.sample(own, maker.decoding))
    groups = whole_groups(queries, drawn, len(asked))
    return [with_answers(group) for group in groups] if maker.add_data_answers else groups
