"""Find the GGUF file that a name stands for, and what is wrong with it, before it is loaded."""

from __future__ import annotations

from pathlib import Path

from neat_align.models.gguf.header import Header, read_header
from neat_align.models.kinds import Problem, Role
from neat_align.storage.paths import is_dir, is_file

SUFFIX = ".gguf"
NOT_OF_A_MODEL = {"general", "tokenizer"}
"""Entries of transformers' table of architectures that are none."""
ENCODER_DECODERS = ("t5", "umt5")
ONLY_A_POLICY: Problem = (
    "it is a language model, and a reward model has a head that scores",
    "train one with `neat reward`, or give a function instead",
)
SHOWN = 3
"""Files named in an error."""


def gguf_file(source: str | Path) -> Path | None:
    """Return the GGUF file that a path stands for: itself, or the only one of a directory.

    None where it stands for something else: a directory with weights of safetensors is an
    ordinary model, whatever lies beside them.
    """
    path = Path(source).expanduser()
    if is_file(path):
        return path if path.suffix.lower() == SUFFIX else None
    found = _only_gguf(path)
    return found[0] if len(found) == 1 else None


def gguf_problems(path: Path, role: Role) -> list[Problem] | None:
    """Find what is wrong with a GGUF file, or a directory of them; None where it is none."""
    files = [path] if path.suffix.lower() == SUFFIX and not is_dir(path) else _only_gguf(path)
    if not files:
        return None
    if len(files) > 1:
        named = ", ".join(file.name for file in files[:SHOWN]) + " …" * (len(files) > SHOWN)
        why = f"the directory holds {len(files)} GGUF files ({named})"
        return [(why, "name the one: DIRECTORY/FILE.gguf")]
    return _file_problems(files[0], role)


def _only_gguf(path: Path) -> list[Path]:
    if not is_dir(path) or any(path.glob("*.safetensors*")):
        return []
    return sorted(file for file in path.glob("*") if file.suffix.lower() == SUFFIX)


def _file_problems(path: Path, role: Role) -> list[Problem]:
    again = "fetch it again, whole"
    if not is_file(path):
        return [("there is no such file", "correct the path")]
    try:
        header, size = read_header(path), path.stat().st_size
    except ValueError as error:
        return [(f"{path.name} {error}", "run `git lfs pull`" if "LFS" in str(error) else again)]
    except OSError as error:
        return [(f"{path.name} cannot be read: {error.strerror}", "look at its permissions")]
    if header.parts > 1:
        why = f"{path.name} is one of {header.parts} files that the model is split into"
        return [(why, "put them together with `llama-gguf-split --merge`, and give that file")]
    if size < header.size:
        why = f"{path.name} is cut short: {size} bytes, and its header tells of {header.size}"
        return [(why, again)]
    return [*_kind(header, role), *_types(header)]


def _kind(header: Header, role: Role) -> list[Problem]:
    name, known = header.architecture, _architectures()
    if _plain(name) not in {_plain(other) for other in known}:
        why = f"transformers reads no GGUF file of the architecture {name!r}"
        return [(why, f"give the model's ordinary directory, or one of: {', '.join(known)}")]
    if role == "reward":
        return [ONLY_A_POLICY]
    if role == "policy" and name.startswith(ENCODER_DECODERS):
        why = f"{name} is an encoder-decoder: it has no one row of query and answer"
        return [(why, "give a decoder-only language model")]
    return []


def _types(header: Header) -> list[Problem]:
    wrong = [name for kind in sorted(header.types) if (name := _unread(kind))]
    fix = "quantise the model otherwise (Q4_K_M, Q8_0, F16 …), or give its ordinary directory"
    return [(f"its weights are stored as {', '.join(wrong)}, which is not read", fix)] * bool(wrong)


def _unread(kind: int) -> str:
    """Name a type of weights that cannot be turned into numbers; "" for one that can."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    if kind not in set(GGMLQuantizationType):
        return f"type {kind}"
    known = GGMLQuantizationType(kind)
    try:
        dequantize(np.zeros((1, GGML_QUANT_SIZES[known][1]), np.uint8), known)
    except NotImplementedError:  # how gguf says that it knows the type and cannot read it
        return known.name
    return ""


def _architectures() -> list[str]:
    """List what transformers reads, by the table of the version that is here."""
    from transformers.integrations import gguf
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    newer = getattr(gguf, "GGUF_CONFIG_ARCHS", ())
    return sorted({*GGUF_SUPPORTED_ARCHITECTURES, *newer} - NOT_OF_A_MODEL)


def _plain(name: str) -> str:
    """Write an architecture without its hyphens: GGUF and transformers set them differently."""
    return name.replace("-", "").replace("_", "").removesuffix("encoder")
