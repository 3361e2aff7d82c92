"""Tell whether something is there, for names that came from outside.

pathlib raises where a name is longer than the system allows; here such a file is absent.
"""

from __future__ import annotations

import os
from pathlib import Path


def is_file(path: str | Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def is_dir(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: str | Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110
