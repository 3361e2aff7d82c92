"""The page of a comparison: its tables and pictures, under the same rules as a run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from neat_align.report.escaping import template
from neat_align.storage.atomic import atomic_write_text


@dataclass(frozen=True)
class Part:
    """A table of the page, its head first.

    Attributes:
        failures: what went wrong, a line each.
        pictures: SVG, whose texts were escaped when it was drawn.
    """

    title: str
    rows: Sequence[Sequence[str]]
    failures: Sequence[str] = ()
    pictures: Sequence[str] = field(default_factory=list)


def build_comparison(path: Path, about: str, parts: Sequence[Part]) -> None:
    """Write the page; whole or not at all."""
    page = template("comparison.html.j2")
    drawn = [(part, [Markup(picture) for picture in part.pictures]) for part in parts]
    atomic_write_text(path, page.render(about=about, parts=drawn))
