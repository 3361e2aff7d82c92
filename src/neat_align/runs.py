"""Run directories: who owns one, which stages are done, and atomic writes.

A file that exists is complete: everything is written to a sibling and renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from neat_align.errors import OutputError

MANIFEST, STAGES = "run.json", "stages.json"
SCHEMA = 1
PACKAGES = ("neat-align", "torch", "transformers", "accelerate", "peft", "datasets", "numpy")


def atomic_write_text(path: Path, text: str) -> None:
    """Write `path` whole or not at all.

    Raises:
        OutputError: the directory cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def atomic_write_json(path: Path, value: Any) -> None:
    """`atomic_write_text` of indented JSON; NaN is refused."""
    atomic_write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """A directory to fill, which takes the name `path` when the block ends without error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp makes it private
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        OutputError: the file is not JSON (cut short, or edited).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OutputError(
            f"{path}", f"it is not valid JSON: {error}", "restore it, or start a new directory"
        ) from error


def versions() -> dict[str, str]:
    """Versions of what a result depends on, read without importing anything."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


class RunDirectory:
    """The output directory of one run."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def path(self, *parts: str) -> Path:
        return self.directory.joinpath(*parts)

    @classmethod
    def open(cls, directory: Path | str, recipe: Mapping[str, Any], resume: bool) -> RunDirectory:
        """Take a directory for the run of `recipe`, new or to be resumed.

        Raises:
            OutputError: the directory holds other files, or a run of another recipe, or a
                run that was not asked to be resumed; or it cannot be written.
        """
        run = cls(directory)
        run.check(recipe, resume)
        if not run.path(MANIFEST).exists():
            manifest = {"schema": SCHEMA, "recipe": recipe, "versions": versions()}
            atomic_write_json(run.path(MANIFEST), manifest)
        return run

    def check(self, recipe: Mapping[str, Any], resume: bool) -> None:
        """Raise what `open` would, and write nothing."""
        given = f"output directory {self.directory}"
        if self.directory.exists() and not self.directory.is_dir():
            raise OutputError(given, "it is a file", "name a directory")
        manifest = self.path(MANIFEST)
        if manifest.exists():
            self._check_same(read_json(manifest)["recipe"], recipe, resume)
        elif self.directory.is_dir() and any(self.directory.iterdir()):
            raise OutputError(
                given, "it holds files that are not a run's", "name a new or an empty directory"
            )
        existing = self.directory
        while not existing.exists():
            existing = existing.parent
        if not os.access(existing, os.W_OK):
            raise OutputError(given, f"{existing} is not writable", "choose another directory")

    def _check_same(self, old: Any, new: Mapping[str, Any], resume: bool) -> None:
        given = f"output directory {self.directory}"
        plain = json.loads(json.dumps(new))
        if old != plain:
            keys = sorted(k for k in {*old, *plain} if old.get(k) != plain.get(k))
            raise OutputError(
                given,
                f"it holds another run: {', '.join(keys)} differ",
                "name another directory, or resume with the recipe in its run.json",
            )
        if not resume:
            raise OutputError(
                given, "it already holds this run", "add --resume, or name another directory"
            )

    def stages(self) -> dict[str, Any]:
        """The finished stages and what each told of itself."""
        path = self.path(STAGES)
        return read_json(path) if path.exists() else {}

    def is_done(self, stage: str) -> bool:
        return stage in self.stages()

    def mark_done(self, stage: str, info: Mapping[str, Any] | None = None) -> None:
        atomic_write_json(self.path(STAGES), {**self.stages(), stage: dict(info or {})})


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"writing {path}",
        error.strerror or str(error),
        "free some space or choose a directory that can be written; what is finished stays",
    )
