"""Look up the present content of each named thing that a run is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from neat_align.errors import InputError
from neat_align.prompts.steering import SIDES, Steering
from neat_align.provenance.files import file_content, rows_content
from neat_align.provenance.models import hub_content, model_content
from neat_align.provenance.scorers import scorer_content
from neat_align.storage.artefacts import files
from neat_align.storage.paths import exists

Kind = Literal["data", "dataset", "model", "scorer", "steering", "file", "groups"]


@dataclass(frozen=True)
class Source:
    """A named thing that a setting refers to.

    Attributes:
        kind: the kind of thing that is named.
        name: a path, a hub id or a built-in's name; for steering also the texts themselves.
    """

    kind: Kind
    name: Any

    def content(self) -> Any:
        """Return the present content of what is named: digests, texts, or a revision."""
        return CONTENT[self.kind](self.name)


def absolute_name(name: str) -> str:
    """Make the path in a command-line name absolute, so that other folders can use it."""
    kind, equals, rest = name.rpartition("=")
    where, _, function = rest.rpartition(":")
    path = where if where.endswith(".py") else rest
    if not exists(Path(path).expanduser()):
        return name
    whole = str(Path(path).expanduser().absolute())
    return kind + equals + (f"{whole}:{function}" if path == where else whole)


def contents(sources: Mapping[str, Source]) -> dict[str, Any]:
    """Return the content of each source, by its place."""
    return {place: source.content() for place, source in sources.items()}


def recorded(sources: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Return the records that a run keeps of its sources: kind, name, content; texts of a pair."""
    return {place: _record(source) for place, source in sources.items()}


def _record(source: Source) -> dict[str, Any]:
    record = {**asdict(source), "content": source.content()}
    if source.kind == "steering":
        record["pair"] = Steering.from_value(source.name).to_json()
    return record


def steering_content(value: Any) -> Any:
    """Return a pair's texts; its name and the form of its file do not count."""
    try:
        pair = Steering.from_value(value)
    except InputError:
        return "missing"
    return {side: list(pair.written(side)) for side in SIDES}


def _groups(name: str) -> Any:
    """Return the digests of stored groups: of one file, or of a directory's parts."""
    path = Path(name)
    if not path.is_dir():
        return file_content(path)
    return {
        str(part.relative_to(path)): file_content(part)
        for part in files(path)
        if part.suffix == ".parquet"
    }


CONTENT: Mapping[str, Callable[[Any], Any]] = {
    "data": lambda name: rows_content(Path(name).expanduser()),
    "dataset": lambda name: hub_content("datasets", name),
    "model": model_content,
    "scorer": scorer_content,
    "steering": steering_content,
    "file": lambda name: file_content(Path(name).expanduser()),
    "groups": _groups,
}
