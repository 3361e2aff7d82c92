"""Loading models and tokenizers, with the errors a user can act on.

Only safetensors weights are read, and code that comes with a model is not run, unless the
user asks for it by the model's name in `TRUSTED`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.errors import InputError, ModelError
from neat_align.paths import exists, is_dir

TRUSTED = "NEAT_TRUST_REMOTE_CODE"
"""Environment variable with the models whose own code may run, separated by commas."""

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def looks_local(source: str | Path) -> bool:
    """Whether `source` names a directory rather than a hub id (`owner/name`)."""
    text = str(source)
    return exists(text) or text.startswith((".", "/", "~")) or text.count("/") != 1


def check_model_source(source: str | Path) -> list[InputError]:
    """What is wrong with a model directory, without loading it; hub ids are not fetched."""
    if not looks_local(source):
        return []
    path = Path(source).expanduser()
    if not is_dir(path):
        return [
            ModelError(
                f"model {str(source)!r}",
                "there is no such directory, and it is not a hub id of the form owner/name",
                "give a directory with config.json and *.safetensors, or a hub id",
            )
        ]
    wanted = {"config.json": "config.json", "weights": "*.safetensors"}
    missing = [what for what, pattern in wanted.items() if not any(path.glob(pattern))]
    if not missing:
        return []
    return [
        ModelError(
            f"model {str(source)!r}",
            f"the directory holds no {' and no '.join(missing)}",
            "give the directory that `save_pretrained` wrote (config.json, *.safetensors)",
        )
    ]


def load_causal_lm(
    source: str | Path, dtype: str = "float32", device: str | None = None
) -> PreTrainedModel:
    """A causal language model from a directory or the hub.

    Args:
        source: directory or hub id.
        dtype: "float32", "bfloat16", "float16", or "auto": as the weights were saved.
        device: e.g. "cuda"; the model stays on the CPU when None.

    Raises:
        ModelError: no such model, or not one that transformers can load.
    """
    from transformers import AutoModelForCausalLM

    from neat_align.modeling.packing import prepare_for_packing

    model = load_part(AutoModelForCausalLM, source, dtype=_torch_dtype(dtype), use_safetensors=True)
    model = model.to(device) if device else model
    prepare_for_packing(model)
    return model


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model.

    Raises:
        ModelError: no tokenizer there.
    """
    from transformers import AutoTokenizer

    fix = "save the tokenizer beside the model with `tokenizer.save_pretrained`"
    return load_part(AutoTokenizer, source, fix)


def load_part(
    auto_class: Any,
    source: str | Path,
    fix: str = "check the name, the files and the network",
    **options: Any,
) -> Any:
    """What one of transformers' Auto classes finds at `source`.

    Args:
        fix: what the user can do where it finds nothing.
        options: of its `from_pretrained`.

    Raises:
        ModelError: nothing is there, it cannot be read, or it needs code of its own to run
            and is not named in `TRUSTED`.
    """
    _raise_first(check_model_source(source))
    trusted = is_trusted(source)
    try:
        return auto_class.from_pretrained(os.fspath(source), trust_remote_code=trusted, **options)
    except (OSError, ValueError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise ModelError(
                f"model {str(source)!r}",
                "it brings code of its own, which is not run unless you ask for it",
                f"read that code, then set {TRUSTED}={source}",
            ) from error
        what = "the tokenizer of model" if auto_class.__name__ == "AutoTokenizer" else "model"
        raise ModelError(f"{what} {str(source)!r}", _first_line(error), fix) from error


def is_trusted(source: str | Path) -> bool:
    """Whether the user named this model, as it is written, among those whose code may run."""
    return str(source) in os.environ.get(TRUSTED, "").split(",")


def _torch_dtype(dtype: str) -> torch.dtype | str:
    import torch

    return dtype if dtype == "auto" else getattr(torch, dtype)


def _raise_first(errors: list[InputError]) -> None:
    if errors:
        raise errors[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
