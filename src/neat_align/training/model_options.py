"""Options of `from_pretrained` (`model_init_kwargs`) for a model that is given by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RecipeError, nearest, raise_all
from neat_align.models import load_causal_lm
from neat_align.models.device import DTYPES
from neat_align.models.load import TRUSTED, is_trusted
from neat_align.models.source import looks_local

HONOURED = ("dtype", "torch_dtype", "attn_implementation", "revision")
LOADED = "load the model with AutoModelForCausalLM.from_pretrained(…), and give that"
INSTEAD = {
    "device_map": "leave it out: the trainer places the model",
    "use_cache": "leave it out: answers are drawn with the cache, the loss is computed without",
    "use_safetensors": "leave it out: only safetensors are read",
    "quantization_config": f"{LOADED}, with a peft_config",
}
"""Option of `from_pretrained` → what to do instead."""


@dataclass(frozen=True)
class ModelOptions:
    """How a named model is loaded.

    Attributes:
        dtype: "float32", "bfloat16" or "float16".
        attention: its `attn_implementation`; None for transformers' own choice.
        revision: of the hub, for the tokenizer too; None for the newest.
    """

    dtype: str = "float32"
    attention: str | None = None
    revision: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any] | str | None, model: Any) -> ModelOptions:
        """Read `model_init_kwargs`, for this model.

        Raises:
            RecipeError: options that would be ignored, or that are for another to decide.
        """
        options = json.loads(given) if isinstance(given, str) else dict(given or {})
        raise_all(list(_problems(options, model)))
        dtype = options.get("dtype", options.get("torch_dtype")) or "float32"
        return cls(
            _name(dtype), options.get("attn_implementation") or None, options.get("revision")
        )

    def load(self, source: str | Path) -> Any:
        """Load the model, to be trained, on the CPU: the Trainer moves it to its device."""
        options = {"attn_implementation": self.attention, "revision": self.revision}
        chosen = {name: value for name, value in options.items() if value is not None}
        return load_causal_lm(source, self.dtype, "cpu", trainable=True, **chosen)


def _problems(options: Mapping[str, Any], model: Any) -> Iterator[InputError]:
    if options and not isinstance(model, str | Path):
        why = "the model is given whole, and would not be loaded with them"
        yield RecipeError("model_init_kwargs", why, "load it with them yourself, or give its name")
        return
    for name, value in options.items():
        if name == "trust_remote_code":
            if value and not is_trusted(model):
                fix = f"read its code, then set {TRUSTED}={model}, and leave this out"
                yield _problem(name, value, "whose code may run, the environment says", fix)
        elif name not in HONOURED:
            fix = INSTEAD.get(name) or f"{LOADED}; here {nearest(name, HONOURED)}"
            yield _problem(name, value, "a model that is named is not loaded with it", fix)
    yield from _values(options, model)


def _values(options: Mapping[str, Any], model: Any) -> Iterator[InputError]:
    if options.get("dtype") and options.get("torch_dtype"):
        why = "torch_dtype is the older name of dtype"
        yield RecipeError("model_init_kwargs: dtype and torch_dtype", why, "give dtype alone")
    for name in ("dtype", "torch_dtype"):
        value = options.get(name)
        if value is not None and _name(value) not in DTYPES[1:]:
            fix = f"use one of: {', '.join(DTYPES[1:])}"
            yield _problem(name, value, "weights that are trained have a dtype that is named", fix)
    for name in ("attn_implementation", "revision"):
        if not isinstance(options.get(name), str | None):
            yield _problem(name, options[name], "it is no text", "write its name")
    if options.get("revision") and looks_local(model):
        why = "a directory has no revisions: nothing would read it"
        yield _problem("revision", options["revision"], why, "leave it out, or give a hub id")


def _problem(name: str, value: Any, why: str, fix: str) -> RecipeError:
    return RecipeError(f"model_init_kwargs: {name}={value!r}", why, fix)


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
