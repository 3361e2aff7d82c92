"""Named things that a run is made from, each with the content that its name has now."""

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
    """A name that a setting holds.

    Attributes:
        kind: what the name is of.
        name: a path, a hub id, a built-in's name; of steering also the texts themselves.
    """

    kind: Kind
    name: Any

    def content(self) -> Any:
        """What the name stands for now: digests, texts, a revision."""
        return CONTENT[self.kind](self.name)


def absolute_name(name: str) -> str:
    """A name on the command line, a path in it made absolute: it may be looked up elsewhere."""
    kind, equals, rest = name.rpartition("=")
    where, _, function = rest.rpartition(":")
    path = where if where.endswith(".py") else rest
    if not exists(Path(path).expanduser()):
        return name
    whole = str(Path(path).expanduser().absolute())
    return kind + equals + (f"{whole}:{function}" if path == where else whole)


def contents(sources: Mapping[str, Source]) -> dict[str, Any]:
    """The content of each source, by its place."""
    return {place: source.content() for place, source in sources.items()}


def recorded(sources: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """Sources as a run keeps them: kind, name and content, by place; a pair with its texts."""
    return {place: _record(source) for place, source in sources.items()}


def _record(source: Source) -> dict[str, Any]:
    record = {**asdict(source), "content": source.content()}
    if source.kind == "steering":
        record["pair"] = Steering.from_value(source.name).to_json()
    return record


def steering_content(value: Any) -> Any:
    """The texts of a pair: its name and the form of its file do not count."""
    try:
        pair = Steering.from_value(value)
    except InputError:
        return "missing"
    return {side: list(getattr(pair, side)) for side in SIDES}


def _groups(name: str) -> Any:
    """Stored groups: one file, or the parts of a directory."""
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
