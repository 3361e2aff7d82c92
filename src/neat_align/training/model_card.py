"""The README.md that lies beside an aligned model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from neat_align.objectives import Objective
from neat_align.runs import versions
from neat_align.steering import Steering
from neat_align.training.config import NEATConfig

SETTINGS = (
    "learning_rate", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps",
    "refresh_every", "positive_samples", "negative_samples", "plain_samples",
    "negative_context", "base_negative_fraction", "max_new_tokens", "temperature", "seed",
)  # fmt: skip


def model_card(objective: Objective, steering: Steering | None, args: NEATConfig) -> str:
    """Markdown with the metadata block of the hub: steering, objective, settings, versions."""
    parameters: dict[str, Any] = asdict(objective)  # type: ignore[call-overload]
    lines = [
        "---",
        "library_name: transformers",
        "tags: [neat-align, alignment]",
        "---",
        "# A model aligned with neat-align",
        "",
        *_steering_lines(steering),
        f"## Objective: `{objective.name}`",
        "",
        *(f"- {name}: {value}" for name, value in parameters.items()),
        "",
        "## Settings",
        "",
        *(f"- {name}: {getattr(args, name)}" for name in SETTINGS),
        "",
        "## Versions",
        "",
        *(f"- {name}: {version}" for name, version in versions().items()),
    ]
    return "\n".join(lines) + "\n"


def _steering_lines(steering: Steering | None) -> list[str]:
    if steering is None:
        return []
    sides = (("asked for", steering.positive), ("asked not to", steering.negative))
    return [
        f"## Steering: `{steering.name}`",
        "",
        *(f"- {what}: {prompt}" for what, prompts in sides for prompt in prompts),
        "",
    ]
