"""Identify the content of a reward, a checker or an embedder by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neat_align.provenance.files import file_content
from neat_align.provenance.models import model_content
from neat_align.provenance.source_code import code_content, module_content
from neat_align.scoring import Takes, by_name


def scorer_content(name: str) -> Any:
    """Return the content of a named scorer; see `scoring.resolve_scorer` for the names."""
    named = by_name(name)
    if named is not None:
        return named.content(CONTENT_OF[named.kind.takes])
    where, colon, function = name.rpartition(":")
    if not colon:
        return model_content(name)
    if where.endswith(".py"):
        return {"function": function, **code_content(Path(where).expanduser())}
    return {"function": function, **module_content(where)}


CONTENT_OF: Mapping[Takes, Callable[[str], Any]] = {
    Takes.NOTHING: str,
    Takes.TEXT: str,
    Takes.FILE: lambda name: file_content(Path(name)),
    Takes.MODEL: scorer_content,
}
"""What an argument of each kind names, by its content."""
