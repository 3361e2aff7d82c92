"""Adapters: given, made, saved, and merged into the weights they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import set_seed

from neat_align import defaults
from neat_align.errors import InputError, ModelError, TrainingError


def lora_config(section: Mapping[str, Any] | None, task: str = "CAUSAL_LM") -> LoraConfig | None:
    """Make peft's settings of a recipe's `lora` section; None without one.

    Args:
        task: "SEQ_CLS" for a reward model, whose head is then trained whole.
    """
    if section is None:
        return None
    return LoraConfig(
        task_type=task,
        r=int(section.get("r", defaults.LORA_RANK)),
        lora_alpha=int(section.get("alpha", defaults.LORA_ALPHA)),
        lora_dropout=float(section.get("dropout", defaults.LORA_DROPOUT)),
        target_modules=section.get("target_modules", "all-linear"),
        modules_to_save=section.get("modules_to_save"),
        bias=section.get("bias", "none"),
        use_rslora=bool(section.get("rslora", False)),
        use_dora=bool(section.get("dora", False)),
    )


def with_adapter(model: Any, peft_config: Any, seed: int) -> tuple[Any, bool]:
    """Return the model, with a new adapter where asked, and whether it had come with one.

    Args:
        seed: of the new adapter's weights, which are drawn here.

    Raises:
        TrainingError: an adapter on an adapter, or one of a kind that is not served.
    """
    came_with_adapter = isinstance(model, PeftModel)
    if peft_config is None:
        return model, came_with_adapter
    if came_with_adapter:
        raise TrainingError(
            "a model with an adapter and a peft_config",
            "it is not clear which adapter to train and which to compare with",
            "leave peft_config out to train on with the adapter, or merge it first",
        )
    if getattr(peft_config, "is_prompt_learning", False):
        raise TrainingError(
            f"a peft_config of the kind {peft_config.peft_type.value}",
            "it puts tokens before each text, and those would not be counted",
            "use an adapter of the weights, such as LoraConfig",
        )
    set_seed(seed)
    with warnings.catch_warnings():  # `merged` sees to it
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings")
        try:
            return get_peft_model(model, peft_config), False
        except ValueError as error:  # e.g. names that no layer has
            known = ", ".join(sorted({n.rpartition(".")[2] for n, _ in _layers(model)}))
            why, fix = str(error).splitlines()[0], f"name layers of the model: {known}"
            raise ModelError("an adapter for this model", why, fix) from error


def _layers(model: Any) -> list[tuple[str, Any]]:
    return [(n, m) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]


def frozen_problems(model: Any) -> list[InputError]:
    """Refuse a model of which nothing can be trained."""
    if any(p.requires_grad for p in model.parameters()):
        return []
    if isinstance(model, PeftModel):
        given = "a model whose adapter is frozen"
        fix = "load it with PeftModel.from_pretrained(…, is_trainable=True)"
    else:
        given, fix = "a model whose weights are all frozen", "call requires_grad_(True) on it"
    why = "there is no weight to train"
    return [ModelError(given, why, fix)]


def quantised_problems(model: Any) -> list[InputError]:
    """Refuse to train the whole of a quantised model."""
    if isinstance(model, PeftModel) or not getattr(model, "is_quantized", False):
        return []
    if str(getattr(model, "quantization_method", "")).lower().endswith("gguf"):
        fix = "give the .gguf file's path as the model: neat-align loads it to be trained"
        return [ModelError("a model loaded from a GGUF file", "it cannot be saved", fix)]
    why = "quantised weights cannot be trained themselves"
    return [ModelError("a quantised model", why, "train an adapter: peft_config=…")]


def trains_base(model: Any) -> bool:
    """Whether training also moves weights below the adapter (LoRA with `bias`)."""
    if not isinstance(model, PeftModel):
        return False
    return any(getattr(c, "bias", "none") != "none" for c in model.peft_config.values())


def save_adapter(model: Any, folder: Path) -> None:
    """Save the active adapter, with the model that it is for by its absolute path."""
    config = model.peft_config[model.active_adapter]
    base = Path(str(config.base_model_name_or_path or "")).expanduser()
    if str(base) != "." and base.exists():  # a directory, or a GGUF file
        config.base_model_name_or_path = str(base.resolve())
    model.save_pretrained(str(folder), selected_adapters=[model.active_adapter])


def merged(model: Any) -> Any:
    """Work the adapter into the weights: the trained policy, to float error.

    In float32, since 16 bit would round small differences away. Weights that input and output
    embeddings share are first made two where the adapter changes one of them.
    """
    base = model.get_base_model()
    if not getattr(base, "is_quantized", False):
        model.float()
    _untie(base)
    found = model.merge_and_unload()
    ends = found.get_output_embeddings()
    if ends is not None and ends.weight is not found.get_input_embeddings().weight:
        for config in {id(c): c for c in (found.config, found.config.get_text_config())}.values():
            if getattr(config, "tie_word_embeddings", False):
                config.tie_word_embeddings = False
    return found


def _untie(base: Any) -> None:
    """Two embeddings instead of a shared one, where an adapter has wrapped either."""
    start, end = base.get_input_embeddings(), base.get_output_embeddings()
    inner = [getattr(m, "base_layer", getattr(m, "original_module", m)) for m in (start, end)]
    if end is None or (inner[0] is start and inner[1] is end):
        return
    if inner[0].weight is inner[1].weight:
        inner[1].weight = torch.nn.Parameter(inner[1].weight.detach().clone(), False)
