"""Loading models and tokenizers, with the errors a user can act on.

`trust_remote_code` stays off and only safetensors weights are read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from neat_align.errors import InputError, ModelError
from neat_align.paths import exists, is_dir

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

    _raise_first(check_model_source(source))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            os.fspath(source), dtype=_torch_dtype(dtype), use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {str(source)!r}",
            _first_line(error),
            "check the name, the files and the network",
        ) from error
    model = model.to(device) if device else model  # type: ignore[arg-type]
    prepare_for_packing(model)
    return model


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model.

    Raises:
        ModelError: no tokenizer there.
    """
    from transformers import AutoTokenizer

    _raise_first(check_model_source(source))
    try:
        return AutoTokenizer.from_pretrained(os.fspath(source))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"the tokenizer of model {str(source)!r}",
            _first_line(error),
            "save the tokenizer beside the model with `tokenizer.save_pretrained`",
        ) from error


def _torch_dtype(dtype: str) -> torch.dtype | str:
    import torch

    return dtype if dtype == "auto" else getattr(torch, dtype)


def _raise_first(errors: list[InputError]) -> None:
    if errors:
        raise errors[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
