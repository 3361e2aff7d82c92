"""Load models and tokenizers, with the errors a user can act on.

Only safetensors weights and GGUF files are read, and code that comes with a model is not run,
unless the user asks for it by the model's name in `TRUSTED`. A model whose weights do not fit
its config is refused: transformers would fill the gaps at random, with a warning.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.errors import InputError, ModelError, NeatError, first_line
from neat_align.models.device import AUTO, place
from neat_align.models.fetch import located
from neat_align.models.gguf.check import gguf_file
from neat_align.models.gguf.ordinary import load_gguf
from neat_align.models.source import (
    ADAPTER_WEIGHTS,
    adapter_base,
    check_model_source,
    is_adapter,
    looks_local,
)
from neat_align.storage.paths import is_file

TRUSTED = "NEAT_TRUST_REMOTE_CODE"
"""Environment variable with the models whose own code may run, separated by commas."""
SHOWN = 3
"""Weights named in an error."""
CHECK = "check the name, the files and the network"

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_settings = {"bars": True}


def without_bars() -> None:
    """Read weights without a bar, for a whole program; downloads keep theirs."""
    _settings["bars"] = False


def load_causal_lm(
    source: str | Path,
    dtype: str | None = AUTO,
    device: str | None = AUTO,
    trainable: bool = False,
    **options: Any,
) -> PreTrainedModel:
    """Load a causal language model from a directory or the hub; an adapter comes with its base.

    Args:
        source: directory or hub id, of a model or of an adapter; a GGUF file; or a name of
            `neat model list`, which is fetched.
        dtype: "float32", "bfloat16", "float16", or "auto" (see `models.device`).
        device: "cpu", "cuda", "cuda:0" …, or "auto".
        trainable: whether an adapter is to be trained on.
        options: of `from_pretrained`: attn_implementation, revision.

    Raises:
        ModelError: no such model, one that cannot be a policy, or no such device or dtype.
    """
    from transformers import AutoModelForCausalLM

    from neat_align.models.layout.packable import prepare_for_packing

    _raise_first(check_model_source(source, "policy"))
    where = place(device, dtype)
    source = located(source)
    base = _adapter_base(source)
    if base is not None and "revision" in options:
        why = "an adapter and its base have revisions of their own"
        raise ModelError(f"revision of adapter {str(source)!r}", why, "load it, and give that")
    model = load_weights(AutoModelForCausalLM, base or source, where.dtype, **options)
    model = model.to(where.device)
    prepare_for_packing(model)
    return model if base is None else _with_adapter(model, source, trainable)


def load_tokenizer(source: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside a model; for an adapter without one, that of its base.

    Raises:
        ModelError: no tokenizer there, or one that its model has too few embeddings for.
    """
    from transformers import AutoConfig, AutoTokenizer

    source = located(source)
    fix = "save the tokenizer beside the model with `tokenizer.save_pretrained`"
    if not looks_local(source):
        fix = CHECK
    base = adapter_base(source) if looks_local(source) else None
    if base is not None and not any(Path(source).expanduser().glob("tokenizer*")):
        return load_tokenizer(base)
    try:
        return load_part(AutoTokenizer, source, fix, revision=revision or "main")
    except ModelError:
        if is_file(Path(source).expanduser() / "config.json"):  # of which it is read, too
            load_part(AutoConfig, source, "correct config.json, or fetch it again")
        raise


def load_weights(
    auto_class: Any,
    source: str | Path,
    dtype: str = "float32",
    may_lack: tuple[str, ...] = (),
    may_exceed: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """Load a model, every weight of which is read from `source`.

    Args:
        may_lack: beginnings of names that need not be there, e.g. of a new head.
        may_exceed: beginnings of names that may be there in vain.
        options: further ones of `from_pretrained`.

    Raises:
        ModelError: see `load_part`; or weights are missing, left over or of another shape.
    """
    import torch

    source = located(source)
    if is_adapter(source):
        why = "it is an adapter, and a whole model is wanted here"
        raise ModelError(f"model {str(source)!r}", why, "merge it (train.merge_adapter: true)")
    told = {"use_safetensors": True, "output_loading_info": True, **options}
    told["ignore_mismatched_sizes"] = True  # told below, by name
    model, info = load_part(auto_class, source, dtype=getattr(torch, dtype), **told)
    wrong = {
        "missing": _others(info["missing_keys"], may_lack),
        "unexpected": _others(info["unexpected_keys"], may_exceed),
        "of another shape": sorted(str(key[0]) for key in info["mismatched_keys"]),
    }
    found = [f"{_few(names)} {what}" for what, names in wrong.items() if names]
    if found:
        why = f"its weights do not fit its config: {'; '.join(found)}"
        fix = "fetch or save config.json and weights again, both of one model"
        raise ModelError(f"model {str(source)!r}", why, fix)
    return model


def load_part(auto_class: Any, source: str | Path, fix: str = CHECK, **options: Any) -> Any:
    """Load what one of transformers' Auto classes finds at `source`.

    Args:
        fix: what the user can do where it finds nothing.
        options: of its `from_pretrained`.

    Raises:
        ModelError: nothing is there, it cannot be read, or it needs code of its own to run
            and is not named in `TRUSTED`.
    """
    _raise_first(check_model_source(source))
    source = located(source)
    trusted, packed = is_trusted(source), gguf_file(source)
    what = "the tokenizer of model" if auto_class.__name__ == "AutoTokenizer" else "model"

    def load() -> Any:
        if not _settings["bars"]:
            _hide_bars()
        if packed is not None:
            return load_gguf(auto_class, packed, not _settings["bars"], **options)
        return auto_class.from_pretrained(os.fspath(source), trust_remote_code=trusted, **options)

    return _explained(load, f"{what} {str(source)!r}", source, fix)


def _hide_bars() -> None:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    shown = not are_progress_bars_disabled()
    logging.disable_progress_bar()  # of weights, and of downloads
    if shown:
        enable_progress_bars()


def is_trusted(source: str | Path) -> bool:
    """Tell whether the user named this model, as written, among those whose code may run."""
    return str(source) in os.environ.get(TRUSTED, "").split(",")


def _with_adapter(model: Any, source: str | Path, trainable: bool) -> Any:
    from peft import PeftModel

    def load() -> Any:
        with warnings.catch_warnings():  # what is missing would stay as it is drawn
            warnings.filterwarnings("error", message=".*missing adapter keys")
            return PeftModel.from_pretrained(model, os.fspath(source), is_trainable=trainable)

    given = f"adapter {str(source)!r}"
    fix = "fetch or save the adapter again, or correct the model that it names"
    found = _explained(load, given, source, fix)
    if found.active_peft_config.is_prompt_learning:
        kind = found.active_peft_config.peft_type.value
        why = f"it is of the kind {kind}: tokens before each text"
        raise ModelError(given, why, "give an adapter of the weights, such as LoRA")
    if unused := _unused(found, Path(source)):
        why = f"{_few(unused)} in its weights, of which its config says nothing: left out"
        raise ModelError(given, why, fix)
    return found


def _unused(model: Any, directory: Path) -> list[str]:
    """Find an adapter's weights that its model took nothing from; not those of a hub id."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    path = directory.expanduser() / ADAPTER_WEIGHTS
    if not path.is_file():
        return []
    with safe_open(path, "pt") as file:
        stored = set(file.keys())
    taken = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    whole = set(model.state_dict())  # embeddings may be stored as they are
    return sorted(stored - taken - whole)


def _adapter_base(source: str | Path) -> str | None:
    """Find the model that an adapter is for; None where `source` is a whole model."""
    if looks_local(source):
        return adapter_base(source)
    from transformers.utils.peft_utils import find_adapter_config_file

    try:
        found = find_adapter_config_file(os.fspath(source))
    except Exception:  # told by the loading that follows
        return None
    return adapter_base(Path(found).parent) if found else None


def _explained(load: Callable[[], Any], given: str, source: str | Path, fix: str) -> Any:
    """Call `load`; whatever it raises, raise in three parts.

    What a damaged file makes a library raise is of any type.
    """
    try:
        return load()
    except (NeatError, MemoryError):
        raise
    except Exception as error:
        if "trust_remote_code" in str(error):
            why = "it brings code of its own, which is not run unless you ask for it"
            told = f"read that code, then set {TRUSTED}={source}"
            raise ModelError(f"model {str(source)!r}", why, told) from error
        if type(error).__name__ == "OutOfMemoryError":
            fix = "free the device, or ask for another one, or for a 16-bit dtype"
        raise ModelError(given, first_line(error), fix) from error


def _others(names: Any, allowed: tuple[str, ...]) -> list[str]:
    return sorted(str(n) for n in names if not str(n).startswith(allowed or ("\0",)))


def _few(names: list[str]) -> str:
    more = len(names) - SHOWN
    verb = " is" if len(names) == 1 else " are"
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "") + verb


def _raise_first(errors: list[InputError]) -> None:
    if errors:
        raise errors[0]
