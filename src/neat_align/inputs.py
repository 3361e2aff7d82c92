"""What a recipe's data sections hold: rows of files, of the hub, or of the generated world."""

from __future__ import annotations

from collections.abc import Sequence

from neat_align.data import Preferences, load_preferences, load_queries
from neat_align.errors import DataError
from neat_align.recipe import Data, data_spec
from neat_align.types import Document, Query
from neat_align.world import corpus
from neat_align.world.lexicon import Split


def queries(section: Data, seed: int) -> list[Query]:
    """The queries of a section, within its `share` of content hashes.

    Args:
        seed: of the generated world's draws; files and the hub do not use it.

    Raises:
        DataError: none is left.
    """
    if section.world:
        assert section.limit is not None
        drawn = corpus.draw_queries(seed, Split(section.world.part), section.limit)
        return corpus.with_answers(drawn, seed) if section.world.answers else drawn
    low, high = section.share
    found = [q for q in load_queries(data_spec(section)) if low <= _place(q) < high]
    if not found:
        raise DataError(
            f"{section.path or section.dataset} with share {list(section.share)}",
            "no query lies in that share",
            "widen the share, or give more rows",
        )
    return found


def preferences(section: Data, seed: int) -> Preferences:
    """The preference pairs of a section, within its `share`."""
    if section.world:
        assert section.limit is not None
        flipped, leaky = section.world.flipped, section.world.leaky
        return Preferences(corpus.draw_preferences(seed, section.limit, flipped, leaky), {})
    low, high = section.share
    loaded = load_preferences(data_spec(section))
    return Preferences([p for p in loaded.rows if low <= _place(p.query) < high], loaded.dropped)


def documents(section: Data, seed: int) -> list[Document]:
    """Texts; of preferences both answers: a base model has read good and bad."""
    if section.world:
        assert section.limit is not None
        return corpus.draw_documents(seed, section.limit, section.world.misbehaves)
    return [
        Document(p.query, text)
        for p in preferences(section, seed).rows
        for text in (p.chosen, p.rejected)
    ]


def refuse_trained_queries(held_out: Sequence[Query], trained: Sequence[Query]) -> None:
    """Raise a `DataError` where evaluation queries are training queries too."""
    shared = {q.id for q in held_out} & {q.id for q in trained}
    if shared:
        raise DataError(
            f"{len(shared)} of {len(held_out)} evaluation queries",
            "they are training queries too, so the figures would not be held out",
            "give other queries, or shares that do not overlap (share: [0, 0.9] and [0.9, 1])",
        )


def _place(query: Query) -> float:
    """A query's place between 0 and 1, by its content."""
    return int(query.id, 16) / 16 ** len(query.id)
