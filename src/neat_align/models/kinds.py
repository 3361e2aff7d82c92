"""Tell from a config what kind of model it is, and whether it can be the one that is wanted.

Read as JSON: no torch, nothing loaded. What a name cannot tell, `load` and `padding` find out.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Literal

Role = Literal["policy", "reward", "any"]
"""What a model is wanted for: to be aligned or sampled from, to score, or else."""

Problem = tuple[str, str]
"""Why it cannot work, and what to do."""

LIBRARIES = {
    "aqlm": ("aqlm",),
    "awq": ("gptqmodel", "awq"),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed_tensors",),
    "eetq": ("eetq", "kernels"),
    "fbgemm_fp8": ("fbgemm_gpu", "kernels"),
    "gptq": ("gptqmodel", "auto_gptq"),
    "higgs": ("flute",),
    "hqq": ("hqq",),
    "quanto": ("optimum",),
    "quark": ("quark",),
    "spqr": ("spqr_quant",),
    "torchao": ("torchao",),
    "vptq": ("vptq",),
}
"""Quantisation → the modules of which one reads it."""


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json.

    Raises:
        ValueError: it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path.name} holds no settings")
    return content


def kind_problems(config: dict[str, Any], role: Role) -> list[Problem]:
    """Say why a model with this config cannot have the role."""
    if "auto_map" in config:  # code of its own: its names tell nothing
        return _quantisation(config)
    listed = config.get("architectures") or []
    named = [str(name) for name in (listed if isinstance(listed, list) else [listed])]
    if "model_type" not in config and not named:
        why = "config.json names neither a model_type nor an architecture"
        return [(why, "give the directory that `save_pretrained` wrote")]
    found = _policy(config, named) if role == "policy" else []
    found += _reward(config, named) if role == "reward" else []
    return found + _quantisation(config)


def _policy(config: dict[str, Any], named: list[str]) -> list[Problem]:
    shown = ", ".join(named) or str(config.get("model_type"))
    text_only = "give a decoder-only language model (…ForCausalLM)"
    if any("Classification" in name for name in named):
        why = f"{shown} is a classifier, which writes no text"
        return [(why, f"{text_only}; a reward model belongs under `reward`")]
    if config.get("is_encoder_decoder"):
        return [
            (f"{shown} is an encoder-decoder: it has no one row of query and answer", text_only)
        ]
    if "vision_config" in config or "audio_config" in config:
        return [(f"{shown} also reads images or sound, for which nothing here is made", text_only)]
    if named and not any("CausalLM" in name or "LMHead" in name for name in named):
        return [(f"{shown} has no head that predicts the next token", text_only)]
    return []


def _reward(config: dict[str, Any], named: list[str]) -> list[Problem]:
    shown = ", ".join(named) or str(config.get("model_type"))
    fix = "train one with `neat reward`, or give a function instead"
    if not any("SequenceClassification" in name for name in named):
        why = f"a reward model is a sequence classifier with one label, and this is {shown}"
        return [(f"{why}: its score would come from random weights", fix)]
    labels = config.get("num_labels") or len(config.get("id2label") or (0, 1))
    if labels != 1:
        return [
            (f"a reward model is a sequence classifier with one label: {shown} has {labels}", fix)
        ]
    return []


def _quantisation(config: dict[str, Any]) -> list[Problem]:
    """Find whether a model is quantised and its library is not here."""
    section = config.get("quantization_config")
    if not isinstance(section, dict):
        return []
    method = str(section.get("quant_method") or "of no name")
    if section.get("load_in_4bit") or section.get("load_in_8bit"):
        method = "bitsandbytes"
    modules = LIBRARIES.get(method, ())
    if any(importlib.util.find_spec(name) for name in modules):
        return []
    needs = f", which needs {' or '.join(modules)}, not installed here" if modules else ""
    why = f"its weights are quantised ({method}{needs})"
    return [(why, "give the model before it was quantised" + " or install that" * bool(modules))]
