"""Groups as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from neat_align.errors import DataError, RecipeError, nearest, raise_all
from neat_align.prompts.phrasing import Phrasing

if TYPE_CHECKING:
    from neat_align.types import Group, Response


def shown_groups(
    path: Path, sources: Sequence[str], query: str | None, skip: int, limit: int
) -> Iterator[str]:
    """Yield lines for `limit` groups of those that have what is looked for.

    Args:
        sources: of the responses to show; all when empty.
        query: a query's id, or a part of its text.

    Raises:
        RecipeError: a source that there is none of.
        DataError: no group has what is looked for.
    """
    from neat_align.data import read_groups
    from neat_align.types import Source

    known = [str(source) for source in Source]
    raise_all(
        [
            RecipeError(f"--source {name!r}", "there is no such source", nearest(name, known))
            for name in sources
            if name not in known
        ]
    )
    found = (g for g in read_groups(path, unfinished=True) if _is_wanted(g, sources, query))
    lines = [line for group in islice(found, skip, skip + limit) for line in _lines(group, sources)]
    if not lines:
        looked_for = [*sources, *([repr(query)] if query else []), *([f"skip {skip}"] * bool(skip))]
        raise DataError(
            f"groups {path}",
            f"none is left of what was asked for ({', '.join(looked_for) or 'any'})",
            "see `neat dataset stats` for what is there",
        )
    yield from lines


def _is_wanted(group: Group, sources: Sequence[str], query: str | None) -> bool:
    if query is not None and query != group.query.id and query not in group.query.text:
        return False
    return not sources or any(r.source in sources for r in group.responses)


def _lines(group: Group, sources: Sequence[str]) -> Iterator[str]:
    yield f"query {group.query.id}"
    for message in group.query.messages:
        yield f"  {message.role}: {_text(message.content)}"
    for response in group.responses:
        if not sources or response.source in sources:
            yield from _response(response)
    yield ""


def _response(response: Response) -> Iterator[str]:
    score = "not scored" if response.score is None else f"score {response.score:.4g}"
    parts = [f"{name} {s:.4g}" for name, s in response.scores.items() if s is not None]
    several = f" ({', '.join(parts)})" if len(parts) > 1 else ""
    yield f"  [{response.source}] {score}{several}, finish {response.finish}, by {response.sampler}"
    if steered := str(Phrasing.of(response)):
        yield f"    prompt: {_text(steered)}"
    yield f"    {_text(response.text)}"


def _text(text: str) -> str:
    """Write a text in one line, without control characters, which a terminal would obey."""
    shown = " ⏎ ".join(text.splitlines()) or "(empty)"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
