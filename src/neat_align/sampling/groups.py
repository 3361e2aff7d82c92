"""From queries to groups: which responses to draw, and under which steering prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from neat_align import defaults
from neat_align.errors import RecipeError
from neat_align.sampling.base import Decoding, Sampler, SamplingRequest
from neat_align.steering import Steering, no_steering
from neat_align.types import Group, Query, Response, Source


@dataclass(frozen=True)
class GroupPlan:
    """How many responses of each source a group holds.

    Raises:
        RecipeError: fewer than two responses, or a negative count.
    """

    plain: int = defaults.PLAIN_SAMPLES
    positive: int = defaults.POSITIVE_SAMPLES
    negative: int = defaults.NEGATIVE_SAMPLES

    def __post_init__(self) -> None:
        if min(self.plain, self.positive, self.negative) < 0:
            raise RecipeError(f"{self}", "a count below zero", "use 0 or more of each source")
        if self.size < 2:
            raise RecipeError(
                f"{self.size} response(s) a query (plain {self.plain}, positive "
                f"{self.positive}, negative {self.negative})",
                "a group of one has nothing to rank",
                "ask for two or more responses in all, e.g. positive 2, negative 1 and plain 1",
            )

    @property
    def size(self) -> int:
        """K, the responses of one group."""
        return self.plain + self.positive + self.negative


def plan_group(
    query: Query, steering: Steering | None, plan: GroupPlan, seed: int
) -> list[SamplingRequest]:
    """The requests of one group: positive, negative, then plain.

    Phrasings are taken in turn from a start that the seed and the query decide, so that a
    group of two shows two phrasings. A steering pair without a positive side asks for its
    positive responses without a prompt.

    Raises:
        RecipeError: no steering, and not all of the responses are plain.
    """
    if steering is None and (plan.positive or plan.negative):
        given = f"{plan.positive} positive and {plan.negative} negative responses per query"
        raise no_steering(given, "a steering pair")
    wanted = [
        *_cycle(Source.POSITIVE, steering.positive if steering else (), plan.positive, query, seed),
        *_cycle(Source.NEGATIVE, steering.negative if steering else (), plan.negative, query, seed),
        *_cycle(Source.PLAIN, (), plan.plain, query, seed),
    ]
    return [
        SamplingRequest(query, source, prompt, stable_seed(seed, query.id, slot))
        for slot, (source, prompt) in enumerate(wanted)
    ]


def sample_groups(
    sampler: Sampler,
    queries: Sequence[Query],
    steering: Steering | None,
    plan: GroupPlan,
    decoding: Decoding,
    seed: int,
) -> list[Group]:
    """One group for each query; all responses of all queries are drawn in one call.

    A query of which a response did not come has none: see `whole_groups`.
    """
    requests = [r for query in queries for r in plan_group(query, steering, plan, seed)]
    return whole_groups(queries, sampler.sample(requests, decoding), plan.size)


def whole_groups(
    queries: Sequence[Query], responses: Sequence[Response | None], size: int
) -> list[Group]:
    """A group for each query all of whose responses came; the other queries are left out.

    A part of a group would be trained on as if the plan had been another: without its
    negative response, say, or with one phrasing of two.
    """
    rows = [responses[i * size : (i + 1) * size] for i in range(len(queries))]
    came = [tuple(r for r in row if r is not None) for row in rows]
    return [Group(query, row) for query, row in zip(queries, came) if len(row) == size]


def stable_seed(*parts: object) -> int:
    """A seed made of its parts, the same in every process."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def _cycle(
    source: Source, prompts: Sequence[str], count: int, query: Query, seed: int
) -> list[tuple[Source, str]]:
    if not prompts:
        return [(source, "")] * count
    start = stable_seed("phrasing", source, seed, query.id)
    return [(source, prompts[(start + i) % len(prompts)]) for i in range(count)]
