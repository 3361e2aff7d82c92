"""Python files that users name ("rewards.py:score"), as modules.

A file becomes `neat_align.scoring.user_files.STEM_HEX`, HEX being its path. The name says
where the module comes from, so that two files with one stem are two modules, a file called
random.py hides nothing, and another process (a pool's worker, forked or started anew) finds
the functions it is sent: importing the name imports this package first, which knows how.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

PREFIX = f"{__name__}."


def import_file(path: Path) -> ModuleType:
    """Import a file as a module, executed once for its content.

    The file's folder is a place to import from, after all others, so that files beside it
    are found.
    """
    path = path.absolute()
    stem = re.sub(r"\W", "_", path.stem)
    name = f"{PREFIX}{stem}_{os.fsencode(path).hex()}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__source__", None) == path.read_bytes():
        return known
    sys.modules.pop(name, None)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    return importlib.import_module(name)


class _Loader(SourceFileLoader):
    """Compiles the text that is there now: no cached byte code, and none is left behind."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__source__"] = self.get_data(self.path)
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the file whose path a module's name holds."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX):
            return None
        try:
            file = os.fsdecode(bytes.fromhex(fullname.rpartition("_")[2]))
        except ValueError:
            return None
        return spec_from_file_location(fullname, file, loader=_Loader(fullname, file))


sys.meta_path.append(_Finder())
