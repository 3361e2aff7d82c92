"""Copy the small texts that a run is made from, to quote and to restore them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from neat_align.provenance.kinds import Source
from neat_align.provenance.source_code import named, own_module_file
from neat_align.scoring import by_name
from neat_align.storage.atomic import atomic_write_bytes
from neat_align.storage.paths import is_file
from neat_align.storage.runs import RunDirectory

FOLDER = "inputs"
LARGEST = 1 << 20  # bytes of a file that is copied


def keep(run: RunDirectory, sources: Mapping[str, Source]) -> None:
    """Copy steering files, reward code and what it uses to DIR/inputs, unless they are there."""
    for place, source in sources.items():
        for name, path in _texts(source):
            copy = run.path(FOLDER, place, name)
            if not copy.exists() and path.stat().st_size <= LARGEST:
                atomic_write_bytes(copy, path.read_bytes())


def _texts(source: Source) -> Iterator[tuple[str, Path]]:
    """Yield the text files of a source, each with the name for its copy."""
    path = _named_file(source)
    if path is None:
        return
    yield path.name, path
    if path.suffix == ".py":
        yield from named(path).items()


def _named_file(source: Source) -> Path | None:
    name = source.name
    if source.kind not in ("steering", "scorer") or not isinstance(name, str):
        return None
    if source.kind == "scorer":
        named = by_name(name)
        name = name if named is None else str(named.argument)
        where = name.rpartition(":")[0]
        name = where if where.endswith(".py") else name
        if where and not is_file(name):
            return own_module_file(where)
    return Path(name) if is_file(name) else None
