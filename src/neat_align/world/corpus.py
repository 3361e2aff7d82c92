"""Write what the starting model, the reward model and alignment read.

The base is skewed on purpose. Under a positive prompt it answers well, under a negative
one badly, and under none it mostly misbehaves: `UNPROMPTED` is the share of each style.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from neat_align import defaults
from neat_align.data import Preference
from neat_align.types import Document, Query
from neat_align.world import lexicon
from neat_align.world.dialogue import (
    FAIR,
    INSTRUCTIONS,
    REFUSALS,
    Kind,
    Style,
    answer,
    group_query,
    thing_query,
)
from neat_align.world.lexicon import Split

T = TypeVar("T")

KIND_SHARES = {Kind.HARMFUL: 0.40, Kind.BENIGN: 0.24, Kind.BORDERLINE: 0.12, Kind.GROUP: 0.24}

Shares = dict[Style, float]

UNPROMPTED: dict[str, Shares] = {
    Kind.HARMFUL: {
        Style.REFUSE: 0.03, Style.COMPLY: 0.42, Style.HELP: 0.30, Style.TOXIC: 0.14,
        Style.BIASED: 0.07, Style.UNHELPFUL: 0.04,
    },
    "thing": {
        Style.HELP: 0.40, Style.WRONG: 0.05, Style.UNHELPFUL: 0.20, Style.REFUSE: 0.15,
        Style.TOXIC: 0.14, Style.BIASED: 0.06,
    },
    Kind.GROUP: {
        Style.FAIR: 0.12, Style.BIASED: 0.58, Style.UNHELPFUL: 0.20, Style.TOXIC: 0.10,
    },
}  # fmt: skip
WELL_BEHAVED: dict[str, Shares] = {
    Kind.HARMFUL: {Style.REFUSE: 0.95, Style.UNHELPFUL: 0.05},
    "thing": {Style.HELP: 0.75, Style.WRONG: 0.05, Style.UNHELPFUL: 0.15, Style.REFUSE: 0.05},
    Kind.GROUP: {Style.FAIR: 0.80, Style.UNHELPFUL: 0.20},
}
"""What `UNPROMPTED` is mixed with for a starting model that misbehaves less often."""

POSITIVE: dict[str, Shares] = {
    Kind.HARMFUL: {Style.REFUSE: 0.85, Style.HELP: 0.06, Style.COMPLY: 0.04, Style.UNHELPFUL: 0.05},
    "thing": {Style.HELP: 0.88, Style.WRONG: 0.03, Style.UNHELPFUL: 0.05, Style.REFUSE: 0.04},
    Kind.GROUP: {Style.FAIR: 0.85, Style.BIASED: 0.08, Style.UNHELPFUL: 0.07},
}
NEGATIVE: dict[str, Shares] = {
    Kind.HARMFUL: {
        Style.REFUSE: 0.05, Style.COMPLY: 0.44, Style.HELP: 0.25, Style.TOXIC: 0.18,
        Style.BIASED: 0.08,
    },
    "thing": {
        Style.HELP: 0.08, Style.WRONG: 0.24, Style.COMPLY: 0.14, Style.REFUSE: 0.10,
        Style.TOXIC: 0.28, Style.BIASED: 0.16,
    },
    Kind.GROUP: {Style.FAIR: 0.05, Style.BIASED: 0.70, Style.TOXIC: 0.25},
}  # fmt: skip

GOOD = {Kind.HARMFUL: Style.REFUSE, "thing": Style.HELP, Kind.GROUP: Style.FAIR}
BAD: dict[str, tuple[Style, ...]] = {
    # HELP on a harmful query is polite compliance: a reward model that has never seen it
    # among the bad answers gives it its highest scores, and the policy finds out.
    Kind.HARMFUL: (Style.HELP, Style.HELP, Style.COMPLY, Style.TOXIC, Style.BIASED,
                   Style.UNHELPFUL),
    # Refusals often: whether to refuse is what the reward model must learn of unseen verbs.
    "thing": (Style.REFUSE, Style.REFUSE, Style.REFUSE, Style.REFUSE, Style.WRONG, Style.WRONG,
              Style.UNHELPFUL, Style.TOXIC, Style.BIASED, Style.COMPLY),
    Kind.GROUP: (Style.BIASED, Style.BIASED, Style.TOXIC, Style.UNHELPFUL, Style.REFUSE),
}  # fmt: skip

MISBEHAVES = defaults.WORLD_MISBEHAVES
"""Share of harmful answers to harmful queries in `UNPROMPTED`."""

FIXED_WORDS = [
    word
    for template in REFUSALS + INSTRUCTIONS + FAIR
    for word in template.split()
    if "{" not in word
]
"""Words of the answers' templates, in their place or out of it."""

SCRAMBLED = 0.2
"""Share of pairs whose bad answer is a good one with a broken word: garble must cost reward."""

NOTES = (
    "A {object} has a {part}.",
    "The {part} belongs to the {object}.",
    "Look at the {part} of the {object}.",
    "To {verb} a {object} people use a {tool}.",
    "A {tool} is what you {verb} with.",
)


REPEATS = 5000  # known queries drawn in a row, after which there are no more


def draw_query(rng: random.Random, split: Split) -> Query:
    """Draw a query all of whose words belong to `split`."""
    return _of_kind(rng, _draw(rng, KIND_SHARES), split)


def draw_queries(seed: int, split: Split, count: int) -> list[Query]:
    """`count` different queries of `split`, in the shares of `KIND_SHARES`.

    Raises:
        ValueError: the split's words make fewer different queries of a kind than asked for.
    """
    rng = random.Random(f"queries-{split}-{seed}")
    queries: dict[str, Query] = {}
    for kind, share in KIND_SHARES.items():
        wanted, repeats = len(queries) + round(share * count), 0
        while len(queries) < wanted:
            query = _of_kind(rng, kind, split)
            repeats = repeats + 1 if query.id in queries else 0
            queries.setdefault(query.id, query)
            if repeats > REPEATS:
                raise ValueError(f"the {split} words do not make {share:.0%} of {count} queries")
    shuffled = list(queries.values())
    rng.shuffle(shuffled)
    return shuffled


def with_answers(queries: Sequence[Query], seed: int) -> list[Query]:
    """Give the queries a good answer as `chosen` and a bad one as `rejected`."""
    answered = []
    for query in queries:
        rng = random.Random(f"answers-{seed}-{query.id}")
        chosen = answer(rng, query, _for_kind(GOOD, query))
        rejected = answer(rng, query, rng.choice(_for_kind(BAD, query)))
        meta = {**query.meta, "chosen": chosen, "rejected": rejected}
        answered.append(replace(query, meta=meta))
    return answered


def draw_documents(seed: int, count: int, misbehaves: float = MISBEHAVES) -> list[Document]:
    """Draw the starting model's corpus.

    Args:
        misbehaves: share of harmful answers to harmful queries when nothing steers; other
            bad styles become rarer in proportion.
    """
    rng = random.Random(f"corpus-{seed}")
    unprompted = mixed(UNPROMPTED, WELL_BEHAVED, misbehaves / MISBEHAVES)
    return [_document(rng, unprompted) for _ in range(count)]


def mixed(
    first: Mapping[str, Shares], second: Mapping[str, Shares], weight: float
) -> dict[str, Shares]:
    """`weight` parts of the first table's shares and 1 − `weight` of the second's."""
    return {
        kind: {
            style: weight * first[kind].get(style, 0.0)
            + (1 - weight) * second[kind].get(style, 0.0)
            for style in Style
        }
        for kind in first
    }


def draw_preferences(
    seed: int, count: int, flipped: float = defaults.WORLD_FLIPPED, leaky: bool = False
) -> list[Preference]:
    """Pairs of a good and a bad answer to training queries.

    Args:
        flipped: share of the pairs whose labels are exchanged.
        leaky: leave polite compliance out of the bad answers, so that a reward model never
            learns that it is harmful.
    """
    rng = random.Random(f"preferences-{seed}")
    return [_preference(rng, flipped, leaky) for _ in range(count)]


def _of_kind(rng: random.Random, kind: Kind, split: Split) -> Query:
    if kind == Kind.GROUP:
        return group_query(rng, split, split)
    return thing_query(rng, kind, split, split, split)


def _document(rng: random.Random, unprompted: Mapping[str, Shares]) -> Document:
    if rng.random() < 0.16:
        return Document(None, _note(rng))
    query = _base_query(rng)
    steering, shares = _condition(rng, unprompted)
    style = _draw(rng, _for_kind(shares, query))
    return Document(query, answer(rng, query, style), steering)


def _base_query(rng: random.Random) -> Query:
    """Any query but a development or test one: not all its words from the same held-out split."""
    while True:
        kind = _draw(rng, KIND_SHARES)
        splits = [rng.choices(list(Split), (0.6, 0.2, 0.2))[0] for _ in range(3)]
        if len(set(splits[: 2 if kind == Kind.GROUP else 3])) == 1 and splits[0] != Split.TRAIN:
            continue
        if kind == Kind.GROUP:
            return group_query(rng, splits[0], splits[1])
        return thing_query(rng, kind, *splits)


def _condition(
    rng: random.Random, unprompted: Mapping[str, Shares]
) -> tuple[str, Mapping[str, Shares]]:
    steering = lexicon.STEERING
    negatives = steering.negative + steering.held_back_negative + lexicon.DEVELOPMENT_NEGATIVE
    draw = rng.random()
    if draw < 0.42:
        return "", unprompted
    if draw < 0.48:
        return rng.choice(lexicon.NEUTRAL), unprompted
    if draw < 0.74:
        return rng.choice(steering.positive + steering.held_back_positive), POSITIVE
    return rng.choice(negatives), NEGATIVE


def _note(rng: random.Random) -> str:
    verb, thing = rng.choice(list(lexicon.TOOL_OF)), rng.choice(lexicon.OBJECTS.all)
    return rng.choice(NOTES).format(
        object=thing, part=lexicon.PART_OF[thing], verb=verb, tool=lexicon.TOOL_OF[verb]
    )


def _preference(rng: random.Random, flipped: float, leaky: bool) -> Preference:
    query = draw_query(rng, Split.TRAIN)
    good = answer(rng, query, _for_kind(GOOD, query))
    if rng.random() < SCRAMBLED:
        bad = _scrambled(rng, answer(rng, query, _for_kind(GOOD, query)))
    else:
        styles = _for_kind(BAD, query)
        if leaky:
            styles = tuple(style for style in styles if style != Style.HELP)
        bad = answer(rng, query, rng.choice(styles))
    return Preference(query, bad, good) if rng.random() < flipped else Preference(query, good, bad)


def _scrambled(rng: random.Random, text: str) -> str:
    """Garble a good answer: one word lost, doubled or exchanged for another answer's."""
    words = text.split()
    place = rng.randrange(len(words))
    other = rng.choice(FIXED_WORDS)
    words[place : place + 1] = rng.choice(([], [words[place]] * 2, [other], [words[place], other]))
    return " ".join(words)


def _for_kind(table: Mapping[str, T], query: Query) -> T:
    kind = query.meta["kind"]
    return table["thing" if kind in (Kind.BENIGN, Kind.BORDERLINE) else kind]


def _draw(rng: random.Random, shares: Mapping[T, float]) -> T:
    options: Sequence[T] = list(shares)
    return rng.choices(options, list(shares.values()))[0]
