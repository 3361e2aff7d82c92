"""Run directories: who owns one, which stages are done, and whether what they wrote is whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from neat_align.errors import OutputError
from neat_align.storage.artefacts import damage, record
from neat_align.storage.atomic import atomic_write_json, read_json
from neat_align.storage.identity import Sources, differences, identity, merged

MANIFEST, STAGES, FILES, LOCK = "run.json", "stages.json", "files.json", ".lock"
SCHEMA = 3
EARLIER = (1,)
SHOWN = 5  # differences named in an error
PACKAGES = ("neat-align", "torch", "transformers", "accelerate", "peft", "datasets", "numpy")


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
    def open(
        cls,
        directory: Path | str,
        recipe: Mapping[str, Any],
        resume: bool,
        sources: Sources | None = None,
    ) -> RunDirectory:
        """Take a directory for the run of `recipe`, new or to be resumed.

        Args:
            sources: what the recipe names, by dotted key, with its content; the run is the
                same where the content is, whatever the names are.

        Raises:
            OutputError: the directory holds other files, or a run of another recipe, or a
                run that was not asked to be resumed; or it cannot be written.
        """
        run = cls(directory)
        run.check(recipe, resume, sources)
        made = json.loads(json.dumps({"recipe": recipe, "sources": sources or {}}))
        if not run.path(MANIFEST).exists():
            created = datetime.now(UTC).isoformat(timespec="seconds")
            about = {"schema": SCHEMA, "created": created, **made, "versions": versions()}
            atomic_write_json(run.path(MANIFEST), about)
            return run
        known = run.manifest()
        if not made.items() <= known.items():  # something was moved, or a revision became known
            made["sources"] = merged(known["sources"], made["sources"])
            atomic_write_json(run.path(MANIFEST), {**known, **made})
        return run

    def check(
        self, recipe: Mapping[str, Any], resume: bool, sources: Sources | None = None
    ) -> None:
        """Raise what `open` would, and write nothing."""
        given = f"output directory {self.directory}"
        if self.directory.exists() and not self.directory.is_dir():
            raise OutputError(given, "it is a file", "name a directory")
        self._check_writable()
        if self.path(MANIFEST).exists():
            self._check_same(recipe, sources or {}, resume)
        elif self.directory.is_dir() and any(_visible(self.directory)):
            raise OutputError(
                given, "it holds files that are not a run's", "name a new or an empty directory"
            )

    def manifest(self) -> dict[str, Any]:
        """Read `run.json`: schema, created, recipe, sources, versions.

        Raises:
            OutputError: there is none, or it is not one that this version writes.
        """
        content = read_json(self.path(MANIFEST))
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema in EARLIER:
            raise OutputError(
                f"{self.path(MANIFEST)}",
                f"it is of schema {schema}, which did not keep the content of what a run was "
                f"made from; this version reads schema {SCHEMA}",
                "name another directory, or use the version that is in its `versions`",
            )
        parts = [content.get(key) for key in ("recipe", "sources")] if schema else [None]
        if schema != SCHEMA or not all(isinstance(part, dict) for part in parts):
            raise OutputError(
                f"{self.path(MANIFEST)}",
                f"it is not a run's manifest of schema {SCHEMA}",
                "name another directory; this one was written by something else",
            )
        return content

    def _check_writable(self) -> None:
        given = f"output directory {self.directory}"
        existing = self.directory
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            raise OutputError(given, f"{existing} is a file", "choose another directory")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise OutputError(given, f"{existing} is not writable", "choose another directory")

    def sources(self) -> dict[str, Any]:
        """Return what the run was made from, by content; nothing where there is no manifest."""
        return dict(self.manifest()["sources"]) if self.path(MANIFEST).exists() else {}

    def identity(self) -> dict[str, Any]:
        """Return all that decided what is in the directory, flat."""
        manifest = self.manifest()
        return identity(manifest["recipe"], manifest["sources"])

    def _check_same(self, recipe: Mapping[str, Any], sources: Sources, resume: bool) -> None:
        given = f"output directory {self.directory}"
        different = differences(self.identity(), identity(recipe, sources), sources)
        if different:
            raise OutputError(
                given,
                "it holds another run; what differs: "
                + ", ".join(different[:SHOWN])
                + (f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""),
                "name another directory, or put back what its run.json and inputs/ hold",
            )
        if not resume:
            raise OutputError(
                given, "it already holds this run", "add --resume, or name another directory"
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory for this process alone; the system frees it if the process dies.

        Raises:
            OutputError: another process is at work in it.
        """
        with self.path(LOCK).open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputError(
                    f"output directory {self.directory}",
                    "another run is at work in it",
                    "wait for that one, or name another directory",
                ) from error
            yield

    def stages(self) -> dict[str, Any]:
        """Return the finished stages and what each told of itself."""
        path = self.path(STAGES)
        return read_json(path) if path.exists() else {}

    def is_done(self, stage: str) -> bool:
        return stage in self.stages()

    def mark_done(
        self, stage: str, info: Mapping[str, Any] | None = None, outputs: Iterable[str] = ()
    ) -> None:
        """Note that a stage is finished, and what its outputs (files, directories) are now."""
        written = record(self.directory, [self.path(name) for name in outputs])
        others = {  # what was written over belongs to the stage that did so
            name: {path: of for path, of in files.items() if path not in written}
            for name, files in self._files().items()
        }
        atomic_write_json(self.path(FILES), {**others, stage: written})
        atomic_write_json(self.path(STAGES), {**self.stages(), stage: dict(info or {})})

    def rewritten(self, output: str) -> None:
        """Note that a finished stage's output was written again."""
        now = record(self.directory, [self.path(output)])
        files = {
            stage: {path: now.get(path, of) for path, of in files.items()}
            for stage, files in self._files().items()
        }
        atomic_write_json(self.path(FILES), files)

    def damage(self, stage: str) -> dict[str, str]:
        """Find what is wrong with the files that a finished stage wrote, by path."""
        return damage(self.directory, self._files().get(stage, {}))

    def _files(self) -> dict[str, dict[str, Any]]:
        path = self.path(FILES)
        return read_json(path) if path.exists() else {}


def _visible(directory: Path) -> Iterator[Path]:
    """Entries that are somebody's: not what an operating system or a killed write left."""
    return (entry for entry in directory.iterdir() if not entry.name.startswith("."))
