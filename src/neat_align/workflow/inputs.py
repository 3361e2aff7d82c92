"""What a recipe's data sections hold: rows of files, of the hub, requests, the generated world."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from neat_align.data import Preferences, load_preferences, load_queries
from neat_align.demo.requests import load_requests, shuffled
from neat_align.errors import DataError, InputError, SeveralErrors
from neat_align.recipe import Data, Recipe, data_spec
from neat_align.sampling.plan import GroupPlan
from neat_align.types import Document, Query
from neat_align.world import corpus
from neat_align.world.lexicon import Split

HELD_OUT = 1_000_000
"""Added to the recipe's seed for what only the evaluation sees, so that it is drawn apart."""


def plan(recipe: Recipe) -> GroupPlan:
    """Return the responses of one group.

    Raises:
        InputError: too few of them, or a channel that is none.
    """
    own = recipe.sample
    channels = (own.positive_channels, own.negative_channels)
    return GroupPlan(own.plain, own.positive, own.negative, *channels)


def channel_problems(recipe: Recipe) -> list[InputError]:
    """Find channels that are none, or that the steering pair has no phrasing of."""
    try:
        return list(plan(recipe).check_channels(recipe.pair))
    except SeveralErrors as several:
        return list(several.errors)
    except InputError as error:
        return [error]


def column_problems(recipe: Recipe) -> list[DataError]:
    """Find queries without the answers that the steering takes from the data; reads every row."""
    from neat_align.sampling.from_data import column_problems

    phrasings = [one for _, one in plan(recipe).phrasings(recipe.pair)]
    held_out = recipe.evaluate.during_training if recipe.evaluate else None
    return [
        problem
        for section in (recipe.queries, held_out)
        if section is not None and any(one.column for one in phrasings)
        for problem in column_problems(queries(section, recipe.seed), phrasings)
    ]


def queries(section: Data, seed: int) -> list[Query]:
    """Read the queries of a section, within its `share` of content hashes.

    Args:
        seed: of the generated world's draws and of shuffled requests; files and the hub do not
            use it.

    Raises:
        DataError: none is left.
    """
    if section.world:
        count = _count(section)
        try:
            drawn = corpus.draw_queries(seed, Split(section.world.part), count)
        except ValueError as error:
            given = f"{count} queries of the world's part {section.world.part!r}"
            raise DataError(given, str(error), "ask for fewer with limit") from error
        return corpus.with_answers(drawn, seed) if section.world.answers else drawn
    if section.requests:
        wanted = section.requests
        asked = shuffled(wanted.part, seed) if wanted.shuffled else load_requests(wanted.part)
        return [query for query in asked if query.meta["kind"] in wanted.kinds][: section.limit]
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
    """Read the preference pairs of a section, within its `share`."""
    if section.world:
        flipped, leaky = section.world.flipped, section.world.leaky
        return Preferences(corpus.draw_preferences(seed, _count(section), flipped, leaky), {})
    low, high = section.share
    loaded = load_preferences(data_spec(section))
    return Preferences([p for p in loaded.rows if low <= _place(p.query) < high], loaded.dropped)


def documents(section: Data, seed: int) -> list[Document]:
    """Read texts; of preferences both answers, for a starting model has read good and bad."""
    if section.world:
        return corpus.draw_documents(seed, _count(section), section.world.misbehaves)
    return [
        Document(p.query, text)
        for p in preferences(section, seed).rows
        for text in (p.chosen, p.rejected)
    ]


def _count(section: Data) -> int:
    """Return how many rows of the generated world a section asks for.

    Raises:
        DataError: it does not say, and the world has no end.
    """
    if section.limit is None:
        raise DataError("world without limit", "it has no end", "say how many rows with limit")
    return section.limit


def held_out_problems(recipe: Recipe, trained: Sequence[Query] | None = None) -> list[InputError]:
    """Find queries that are trained on and measured on, or chosen on and reported on.

    The hub is not asked; every row of the local files is read.

    Args:
        trained: the queries of stored groups, where those are trained on.
    """
    sections = {"evaluate.queries": recipe.evaluate.queries if recipe.evaluate else None}
    if recipe.evaluate:
        sections["evaluate.during_training"] = recipe.evaluate.during_training
    if recipe.compare:
        sections["compare.development.queries"] = recipe.compare.development.queries
    known = {
        place: {q.id for q in queries(section, recipe.seed)}
        for place, section in sections.items()
        if section is not None and not section.dataset
    }
    if trained is None:
        trained = [] if recipe.queries.dataset else queries(recipe.queries, recipe.seed)
    ids = {q.id for q in trained}
    problems: list[InputError] = [
        _shared(place, ids & own, own) for place, own in known.items() if ids & own
    ]
    test = known.pop("evaluate.queries", set())
    for place, own in known.items():
        if test & own:
            why = "they are evaluate.queries too: what is best would be chosen on what is reported"
            fix = "give other queries, or shares that do not overlap"
            problems.append(DataError(f"{place}: {len(test & own)} of {len(own)}", why, fix))
    return problems


def refuse_trained_queries(held_out: Sequence[Query], trained: Sequence[Query]) -> None:
    """Raise a `DataError` where evaluation queries are training queries too."""
    own = {q.id for q in held_out}
    shared = own & {q.id for q in trained}
    if shared:
        raise _shared("evaluate.queries", shared, own)


def _shared(place: str, shared: Collection[str], held_out: Collection[str]) -> DataError:
    return DataError(
        f"{place}: {len(shared)} of {len(held_out)}",
        "they are training queries too, so the figures would not be held out",
        "give other queries, or shares that do not overlap (share: [0, 0.9] and [0.9, 1])",
    )


def _place(query: Query) -> float:
    """Return a query's place between 0 and 1, by its content."""
    return int(query.id, 16) / 16 ** len(query.id)
