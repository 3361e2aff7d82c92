"""Draw the answers that a steering pair is tried by; `verdict` judges them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from neat_align.prompts.steering import Steering
from neat_align.sampling.base import SamplingRequest
from neat_align.sampling.groups import GroupMaker, stable_seed, whole_groups, with_answers
from neat_align.types import Group, Query, Source

PLAIN = 4  # plain answers to a query at most

Prompt = tuple[Source, str]


def tried_prompts(steering: Steering, positive: bool, negative: bool) -> list[Prompt]:
    """List the prompts to try; of a side that is not used, or has none, nothing."""
    sides = (
        (Source.POSITIVE, steering.positive, positive),
        (Source.NEGATIVE, steering.negative, negative),
    )
    return [(source, text) for source, texts, used in sides if used for text in texts]


def tried_queries(queries: Sequence[Query], count: int, seed: int) -> list[Query]:
    """Draw some of the queries, by the seed."""
    places = random.Random(stable_seed("tried", seed)).sample(
        range(len(queries)), min(count, len(queries))
    )
    return [queries[i] for i in places]


def draw_trial(
    maker: GroupMaker, queries: Sequence[Query], prompts: Sequence[Prompt], seed: int
) -> list[Group]:
    """Draw a group per query: plain answers, one under each prompt, and the data's."""
    sides = [sum(source == side for source, _ in prompts) for side in Source]
    asked = [(Source.PLAIN, "")] * min(PLAIN, max(sides)) + list(prompts)
    requests = [
        SamplingRequest(query, source, prompt, stable_seed("trial", seed, query.id, slot))
        for query in queries
        for slot, (source, prompt) in enumerate(asked)
    ]
    responses, size = maker.policy.sample(requests, maker.decoding), len(asked)
    groups = whole_groups(queries, responses, size)
    return [with_answers(group) for group in groups] if maker.add_data_answers else groups
