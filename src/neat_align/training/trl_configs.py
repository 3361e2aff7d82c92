"""Translate settings that were made for another trainer, for the error that refuses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any

from transformers import TrainingArguments

from neat_align.errors import RecipeError
from neat_align.training.config import NEATConfig
from neat_align.training.trainer_fields import REFUSED
from neat_align.training.trl_names import REFUSED_SETTINGS, renamed_settings, setting_advice

MADE = (
    *("generation_batch_size", "steps_per_generation", "activation_checkpointing"),
    "disable_tqdm",
)
"""What configs fill in by themselves, from other settings or under another name."""
PLAIN = (bool, int, float, str)
PAGE = "docs/coming-from-trl.md"


def other_settings(given: TrainingArguments) -> RecipeError:
    """Refuse the settings of another trainer, and write those that were changed as ours."""
    changed = _changed(given)
    found, _ = renamed_settings({n: v for n, v in changed.items() if isinstance(v, PLAIN)})
    known = NEATConfig.__dataclass_fields__.keys() - REFUSED.keys()
    call = ", ".join(f"{name}={value!r}" for name, value in found.items() if name in known)
    told = [f"{name}: {setting_advice(name)}" for name in changed if name in REFUSED_SETTINGS]
    why = "they are no NEATConfig: which of their values are meant, they do not tell"
    fix = "\n    ".join([f"give NEATConfig({call})", *told, f"all names: {PAGE}"])
    return RecipeError(f"args of type {type(given).__name__}", why, fix)


def _changed(given: TrainingArguments) -> Mapping[str, Any]:
    """Find the fields that do not have their default."""
    found = {}
    for field in fields(given):
        value, default = _plain(getattr(given, field.name)), _plain(_default(field))
        left_out = value is None or (value is False and default is None)
        if value != default and not left_out and field.name not in MADE:
            found[field.name] = value
    return found


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
