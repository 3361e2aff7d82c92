"""Make groups of queries: which responses to draw, and under which steering prompt."""

from __future__ import annotations

import hashlib
from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from neat_align.errors import DataError
from neat_align.prompts.phrasing import Phrasing
from neat_align.prompts.steering import Steering, no_steering
from neat_align.sampling.base import Decoding, Sampler, SamplingRequest
from neat_align.sampling.from_data import answer_in, missing_in
from neat_align.sampling.plan import GroupPlan
from neat_align.types import Group, Query, Response, Source

ANSWERS = ("chosen", "rejected")  # what a row of data may bring along


def plan_group(
    query: Query,
    steering: Steering | None,
    plan: GroupPlan,
    seed: int,
    repeat: int = 0,
    turn: int = 0,
) -> list[SamplingRequest]:
    """Plan the requests of one group: positive, negative, then plain.

    The channels of a pair are taken in turn, unless the plan names them, and in each of them
    its phrasings, from a seeded start: a group of two shows two phrasings. A steering pair
    without a positive side asks for its positive responses without a prompt. A query that is
    asked again at the same time, for the `repeat`-th time, gets responses of its own. What is
    drawn again, for the `turn`-th time, begins as many channels and phrasings later, with seeds
    of its own.

    Raises:
        RecipeError: no steering, and not all of the responses are plain.
    """
    if steering is None and (plan.positive or plan.negative):
        given = f"{plan.positive} positive and {plan.negative} negative responses per query"
        raise no_steering(given, "a steering pair")
    wanted = [
        *_side(Source.POSITIVE, steering, plan, query, seed, turn),
        *_side(Source.NEGATIVE, steering, plan, query, seed, turn),
        *[(Source.PLAIN, Phrasing())] * plan.plain,
    ]
    key = f"{query.id}#{repeat}" if repeat else query.id
    again = (turn,) if turn else ()
    return [
        SamplingRequest(
            query,
            source,
            p.system,
            stable_seed(seed, key, slot, *again),
            p.turns,
            p.prefix,
            p.column,
        )
        for slot, (source, p) in enumerate(wanted)
    ]


@dataclass
class GroupMaker:
    """Makes groups for queries, not scored yet: the one maker, online and offline.

    Attributes:
        policy: answers the requests.
        steering: None where all responses are plain.
        reference: the frozen model; needed where `reference_negative_fraction` > 0.
        reference_negative_fraction: share of the negative responses that the reference draws
            instead of the policy, 0 to 1.
        add_data_answers: a query's `chosen` and `rejected` answers join its group.
    """

    policy: Sampler
    steering: Steering | None
    plan: GroupPlan
    decoding: Decoding
    reference: Sampler | None = None
    reference_negative_fraction: float = 0.0
    add_data_answers: bool = False

    def drawn(self, queries: Sequence[Query], seed: int) -> list[Group]:
        """Draw one group per query, in order; all responses are drawn in one call.

        A query of which a response did not come has none: see `whole_groups`.
        """
        requests: list[SamplingRequest] = []
        seen: Counter[str] = Counter()
        for query in queries:
            requests += plan_group(query, self.steering, self.plan, seed, seen[query.id])
            seen[query.id] += 1
        groups = whole_groups(queries, self._sample(requests), self.plan.size)
        return [with_answers(group) for group in groups] if self.add_data_answers else groups

    def redrawn(
        self, groups: Sequence[Group], sides: Sequence[Source], seed: int, turn: int
    ) -> list[Group | None]:
        """Draw one side of each group again, in place of what it holds of that side.

        Args:
            sides: positive or negative, one per group.
            turn: counts how often that is done, from 1.

        Returns:
            The groups, unscored; None where a response did not come.
        """
        requests: list[list[SamplingRequest]] = []
        seen: Counter[str] = Counter()
        for group, side in zip(groups, sides, strict=True):
            query = group.query
            whole = plan_group(query, self.steering, self.plan, seed, seen[query.id], turn)
            requests.append([request for request in whole if request.source == side])
            seen[query.id] += 1
        drawn = iter(self._sample([request for part in requests for request in part]))
        came = [[next(drawn) for _ in part] for part in requests]
        return [_with_side(*own) for own in zip(groups, sides, came, strict=True)]

    @property
    def unanswered(self) -> Mapping[str, str]:
        """Tell why queries have no group, by their id; a view of what is known by now."""
        samplers = (self.policy, self.reference)
        return ChainMap(*(getattr(sampler, "unanswered", {}) for sampler in samplers))

    def _sample(self, requests: Sequence[SamplingRequest]) -> list[Response | None]:
        """Answer each request: from the data where it says so, else drawn by a model."""
        return with_data_answers(requests, self._drawn)

    def _drawn(self, requests: Sequence[SamplingRequest]) -> list[Response | None]:
        """Draw each request from the policy, or, some negative ones, from the reference."""
        from_reference = [self._is_for_reference(r) for r in requests]
        drawn: dict[int, Response | None] = {}
        for sampler, chosen in ((self.policy, False), (self.reference, True)):
            part = [i for i, flag in enumerate(from_reference) if flag is chosen]
            asked = part or getattr(sampler, "draws_together", False)
            if asked and sampler is not None:
                responses = sampler.sample([requests[i] for i in part], self.decoding)
                if len(responses) != len(part):
                    why = f"it gave {len(responses)} responses for {len(part)} requests"
                    fix = "give one for each request, in their order, None where none came"
                    raise DataError(f"the sampler {type(sampler).__name__}", why, fix)
                drawn.update(zip(part, responses, strict=True))
        return [drawn[i] for i in range(len(requests))]

    def _is_for_reference(self, request: SamplingRequest) -> bool:
        if request.source != Source.NEGATIVE or self.reference is None:
            return False
        # "base" is part of the seed: another word would draw other responses.
        return uniform("base", request.seed) < self.reference_negative_fraction


def sample_groups(
    sampler: Sampler,
    queries: Sequence[Query],
    steering: Steering | None,
    plan: GroupPlan,
    decoding: Decoding,
    seed: int,
) -> list[Group]:
    """Draw one group per query; see `GroupMaker`, which can do more."""
    return GroupMaker(sampler, steering, plan, decoding).drawn(queries, seed)


def with_data_answers(
    requests: Sequence[SamplingRequest],
    draw: Callable[[Sequence[SamplingRequest]], Sequence[Response | None]],
) -> list[Response | None]:
    """Answer each request, in order: by its column where it names one, else by drawing.

    Args:
        draw: called once with all others, be there any or not.

    Raises:
        DataError: a query has no answer in the column.
    """
    drawn = iter(draw([request for request in requests if not request.column]))
    return [_taken(request) if request.column else next(drawn) for request in requests]


def _taken(request: SamplingRequest) -> Response:
    text = answer_in(request.query, request.column)
    if text is None:
        raise missing_in(request.query, request.column)
    return Response(text, sampler="data", **request.provenance)


def whole_groups(
    queries: Sequence[Query], responses: Sequence[Response | None], size: int
) -> list[Group]:
    """Make a group per query all of whose responses came; leave the other queries out.

    A part of a group would be trained on as if the plan had been another: without its
    negative response, say, or with one phrasing of two.
    """
    rows = [responses[i * size : (i + 1) * size] for i in range(len(queries))]
    came = [tuple(r for r in row if r is not None) for row in rows]
    return [Group(query, row) for query, row in zip(queries, came) if len(row) == size]


def with_answers(group: Group) -> Group:
    """Add the answers that came with a group's query, unless they are there already."""
    if any(r.source == Source.DATA for r in group.responses):
        return group
    answers = [group.query.meta.get(name) for name in ANSWERS]
    own = tuple(Response(a, Source.DATA, sampler="data") for a in answers if a)
    if own and group.is_scored:
        group = Group(group.query, tuple(replace(r, score=None) for r in group.responses))
    return Group(group.query, group.responses + own)


def _with_side(group: Group, side: Source, own: Sequence[Response | None]) -> Group | None:
    """Put responses in the place of those of one side; None where one is missing."""
    came = [response for response in own if response is not None]
    if len(came) < len(own):
        return None
    left = iter(came)
    return Group(
        group.query,
        tuple(
            next(left) if r.source == side else replace(r, score=None, scores={})
            for r in group.responses
        ),
    )


def draw_seed(seed: int, step: int = 0) -> int:
    """Make the seed of the groups of an optimiser step; stored groups are those of step 0."""
    return stable_seed(seed, step)


def stable_seed(*parts: object) -> int:
    """Make a seed of its parts, the same in every process."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def uniform(*parts: object) -> float:
    """Make a number from 0 to 1 of its parts, the same in every process."""
    return stable_seed(*parts) / 2**48


def _side(
    source: Source, steering: Steering | None, plan: GroupPlan, query: Query, seed: int, turn: int
) -> list[tuple[Source, Phrasing]]:
    """Choose the phrasing of each positive or each negative response of a query."""
    count = plan.counts[source]
    known: dict[str, list[Phrasing]] = {}
    for phrasing in steering.phrasings(source) if steering else ():
        known.setdefault(phrasing.channel, []).append(phrasing)
    if not known:
        return [(source, Phrasing())] * count
    start, named = stable_seed("phrasing", source, seed, query.id), plan.channels[source]
    # Other bits for the channel than for its phrasing, or some would never meet.
    channels = _turned(named or list(known), turn if named else (start >> 24) + turn)
    chosen = [channels[i % len(channels)] for i in range(count)]
    places = [start + turn + chosen[:i].count(channel) for i, channel in enumerate(chosen)]
    return [
        (source, known[channel][place % len(known[channel])])
        for channel, place in zip(chosen, places, strict=True)
    ]


def _turned(names: Sequence[str], start: int) -> list[str]:
    """Begin a list at another place."""
    first = start % len(names)
    return [*names[first:], *names[:first]]
