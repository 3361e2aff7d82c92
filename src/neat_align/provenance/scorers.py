"""Identify the content of a reward, a checker or an embedder by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neat_align.provenance.files import file_content
from neat_align.provenance.models import model_content
from neat_align.provenance.source_code import code_content, module_content
from neat_align.scoring.self_contrast import WORDS, SelfContrast
from neat_align.scoring.server_judge import PREFIX
from neat_align.storage.paths import is_file
from neat_align.storage.yaml_text import parse_yaml

BY_NAME = ("polarity", "self_judge", WORDS)  # what the package itself does
UNSEEN = ("journal", "concurrency", "key_variable")  # judge settings that decide no grade


def scorer_content(name: str) -> Any:
    """Return the content of a named scorer; see `scoring.resolve_scorer` for the names."""
    if name in BY_NAME:
        return {"name": name}
    kind, equals, rest = name.partition("=")
    if kind == SelfContrast.name:
        return {"name": kind, "embedder": scorer_content(rest if equals else WORDS)}
    if name.startswith(PREFIX):
        return {"name": "judge", **_judge(name.removeprefix(PREFIX))}
    where, colon, function = name.rpartition(":")
    if not colon:
        return model_content(name)
    if where.endswith(".py"):
        return {"function": function, **code_content(Path(where).expanduser())}
    return {"function": function, **module_content(where)}


def _judge(value: str) -> dict[str, Any]:
    """Return a judge's settings; the digest of its file if that holds none."""
    text = value
    if not value.lstrip().startswith("{"):
        if not is_file(value):
            return {"file": "missing"}
        text = Path(value).read_text(encoding="utf-8", errors="replace")
    try:
        settings = parse_yaml(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        return {"file": file_content(Path(value))}
    return {str(key): own for key, own in settings.items() if key not in UNSEEN}
