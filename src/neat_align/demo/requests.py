"""Give the requests written for this project as queries, by split.

`requests.yaml` holds topics of pairs, a harmful request and its harmless twin, and everyday
requests, in three splits; the files of `training_requests/` hold more of them to train on. A
topic stands in one split alone, so that what is measured on the others is a judgement of what
is asked for, not a memory of topics.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from neat_align.demo.refusals import refusal_for
from neat_align.errors import DataError, nearest
from neat_align.storage.yaml_text import parse_yaml
from neat_align.types import Query

Split = Literal["train", "development", "test"]
SPLITS: tuple[Split, ...] = ("train", "development", "test")
TRAINING = "training_requests"
KIND_OF_SIDE = {"harmful": "harmful", "harmless": "borderline"}
"""A twin has the words of a harmful request: a model that refuses it reads words alone."""


def load_requests(split: Split) -> list[Query]:
    """Return all requests of a split: its pairs, then its everyday requests.

    Raises:
        DataError: there is no such split.
    """
    return [*load_pairs(split), *load_everyday(split)]


def load_pairs(split: Split) -> list[Query]:
    """Return the pairs of a split, each harmful request followed by its twin.

    The meta of a query holds its `kind` (harmful, or borderline for a twin), its `topic`, the
    number of its `pair` within the topic, from 1, and a `refusal` of it, the same for a twin.

    Raises:
        DataError: there is no such split.
    """
    _check(split)
    topics = _content()["topics"].items()
    return [q for name, topic in topics if topic["split"] == split for q in _of_topic(name, topic)]


def load_everyday(split: Split) -> list[Query]:
    """Return the everyday requests of a split, of kind benign.

    Raises:
        DataError: there is no such split.
    """
    _check(split)
    texts = _content()["everyday"][split]
    return [
        Query.from_text(text, kind="benign", topic="everyday", refusal=refusal_for(number))
        for number, text in enumerate(texts)
    ]


def shuffled(split: Split, seed: int) -> list[Query]:
    """Return all requests of a split in a drawn order, in which twins stand side by side.

    Everyday requests stand in twos, so that a batch of an even size divides no pair.
    """
    twos = [*_in_twos(load_pairs(split)), *_in_twos(load_everyday(split))]
    random.Random(seed).shuffle(twos)
    return [query for two in twos for query in two]


def _in_twos(queries: list[Query]) -> list[list[Query]]:
    return [queries[i : i + 2] for i in range(0, len(queries), 2)]


def _of_topic(name: str, topic: dict[str, Any]) -> Iterator[Query]:
    for number, pair in enumerate(topic["pairs"], 1):
        for side, kind in KIND_OF_SIDE.items():
            refusal = refusal_for(number)
            yield Query.from_text(pair[side], kind=kind, topic=name, pair=number, refusal=refusal)


def _check(split: str) -> None:
    if split not in SPLITS:
        raise DataError(
            f"split {split!r} of the requests", "there is none of that name", nearest(split, SPLITS)
        )


@cache
def _content() -> dict[str, Any]:
    """Read every file: topics by name, and the everyday requests by split."""
    folder = files("neat_align.demo")
    more = sorted(folder.joinpath(TRAINING).iterdir(), key=lambda file: file.name)
    found: dict[str, Any] = {"topics": {}, "everyday": {split: [] for split in SPLITS}}
    for file in (folder.joinpath("requests.yaml"), *more):
        content = parse_yaml(file.read_text("utf-8"))
        found["topics"] |= content["topics"]
        for split, texts in content["everyday"].items():
            found["everyday"][split] += texts
    return found
