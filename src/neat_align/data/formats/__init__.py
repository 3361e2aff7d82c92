"""The formats of rows, each a module of this folder that declares its `FORMAT`.

A new format is one file here: it is found by being there. With any format a row may have a
`system` message, `tools` and `chat_template_kwargs` (`data.beside`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from neat_align.data.format import Format


@cache
def formats() -> tuple[Format, ...]:
    """Return every format, in the order in which rows are shown to them."""
    return tuple(sorted(_found(), key=lambda format: format.order))


def _found() -> Iterator[Format]:
    for module in pkgutil.iter_modules(__path__):
        yield import_module(f"{__name__}.{module.name}").FORMAT
