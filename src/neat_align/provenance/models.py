"""Identify a model's content: the files that decide its answers, or its hub revision."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from neat_align.models.named import NAMED, is_named
from neat_align.models.source import looks_local
from neat_align.prompts.steering import STEERING_FILE
from neat_align.provenance.files import file_content, json_content
from neat_align.storage.paths import exists

READ = {".json", ".safetensors", ".jinja", ".model", ".txt", ".tiktoken", ".py", ".gguf", ".bin"}
"""Suffixes of the files in a model's directory that decide what it answers."""

NOT_READ = {STEERING_FILE, "training_args.bin", "trainer_state.json", "README.txt"}
BASE = "base_model_name_or_path"  # in an adapter's configuration


def model_content(source: str) -> Any:
    """Return the digests of a model directory's files by name, or a hub id's cached revision.

    For an adapter, the model that it adapts counts, too. A named model is what its package
    holds, fetched or not.
    """
    if is_named(source):
        return {"weights": f"sha256:{NAMED[source].member_sha256}"}
    if not looks_local(source):
        return hub_content("models", source)
    folder = Path(source).expanduser()
    if folder.is_file():
        return {"file": file_content(folder)}
    found: dict[str, Any] = {
        str(path.relative_to(folder)): json_content(path) for path in _files(folder)
    }
    base = _adapted(folder)
    return {**found, "base": model_content(base)} if base else (found or "missing")


def hub_content(kind: str, name: str) -> dict[str, str]:
    """Return a hub id, with its main branch's commit if this machine's cache has it."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    main = cache / f"{kind}--{name.replace('/', '--')}" / "refs" / "main"
    known = {"revision": main.read_text(encoding="utf-8").strip()} if exists(main) else {}
    return {"hub": name, **known}


def _files(folder: Path) -> list[Path]:
    templates = sorted(folder.glob("*chat_templates/*.jinja"))
    files = (path for path in sorted(folder.glob("*")) if path.suffix in READ and path.is_file())
    return [path for path in files if path.name not in NOT_READ] + templates


def _adapted(folder: Path) -> str | None:
    """Return the model that an adapter's configuration names as the one it adapts."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    base = config.get(BASE) if isinstance(config, dict) else None
    return base if isinstance(base, str) and base and Path(base) != folder else None
