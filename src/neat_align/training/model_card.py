"""The README.md that lies beside an aligned model: what was in force when it was trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from neat_align.prompts.steering import Steering
from neat_align.storage.identity import Sources, leaves
from neat_align.storage.runs import versions

SETTINGS = (
    "learning_rate", "lr_scheduler_type", "optim", "weight_decay", "num_train_epochs",
    "per_device_train_batch_size", "gradient_accumulation_steps", "refresh_every",
    "positive_samples", "negative_samples", "plain_samples", "reference_negative_fraction",
    "good_above", "resample_groups", "drop_unsplit", "reward_combine", "max_dispute",
    "plausibility", "max_new_tokens", "temperature", "top_p", "top_k", "min_p", "bf16", "fp16",
    "seed",
)  # fmt: skip
FIGURES = "Figures"
RELATIVE = "relative to the spread of scores"
LEFT_OPEN = {
    "min_gap": RELATIVE,
    "gap_scale": RELATIVE,
    "lm_threshold": "the border between good and bad answers",
    "good_above": "the border that the steering trial finds",
}
"""What None means for a parameter of an objective, or a setting."""


def model_card(trainer: Any, sources: Sources | None = None) -> str:
    """Markdown with the hub's metadata: steering, objective, settings, sources, versions.

    Args:
        trainer: a `NEATTrainer`; what it left open in its settings is told as it was decided.
        sources: what the run was made from, as its run.json has it.
    """
    lines = [
        "---",
        "library_name: transformers",
        "tags: [neat-align, alignment]",
        "---",
        "# A model aligned with neat-align",
        "",
        *_steering_lines(trainer.steering),
        *_section(f"Objective: `{trainer.objective.name}`", _objective(trainer.objective)),
        *_section("Settings", _in_force(trainer)),
        *(_section("Made from", _made_from(sources)) if sources else ()),
        *_section("Versions", versions().items()),
    ]
    return "\n".join(lines) + "\n"


def with_figures(card: str, lines: Sequence[str]) -> str:
    """Put a section of figures into a card, in place of the one it had."""
    start, _, rest = card.partition(f"\n## {FIGURES}\n")
    kept = rest.partition("\n## ")[2] if rest else ""
    after = f"\n## {kept}" if kept else ""
    return f"{start}\n## {FIGURES}\n\n" + "\n".join(lines) + "\n" + after


def _section(title: str, values: Any) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from (f"- {name}: {value}" for name, value in values)
    yield ""


def _objective(objective: Any) -> Iterator[tuple[str, Any]]:
    for name, value in asdict(objective).items():
        yield name, _told(name, value)


def _told(name: str, value: Any) -> Any:
    return LEFT_OPEN.get(name, "left open") if value is None else value


def _in_force(trainer: Any) -> Iterator[tuple[str, Any]]:
    """List settings as they were used, with those that the trainer decides itself."""
    args = trainer.args
    parameter = next(trainer.model.parameters())
    yield "device", args.device
    yield "dtype", str(parameter.dtype).removeprefix("torch.")
    yield "steps", trainer.state.global_step
    yield "negative_context", trainer.negative_context
    for name in SETTINGS:
        yield name, _told(name, getattr(args, name))
    if trainer.maker is not None:
        scorers = trainer.maker.scorers
        names = [scorer.name for scorer in scorers.scorers]
        yield "rewards", ", ".join(names) or "none"
    config = getattr(trainer.model, "peft_config", {}).get("default")
    if config is not None:
        targets = sorted(config.target_modules or ())
        yield "adapter", f"r {config.r}, alpha {config.lora_alpha}, on {', '.join(targets)}"


def _made_from(sources: Sources) -> Iterator[tuple[str, Any]]:
    for place, source in sources.items():
        if source["kind"] == "steering":  # its texts are above
            continue
        content = source["content"]
        if isinstance(content, Mapping):
            for key, value in leaves(content).items():
                yield f"{place} ({key})", _plain(value)
        else:
            yield place, _plain(content)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _steering_lines(steering: Steering | None) -> list[str]:
    if steering is None:
        return []
    sides = (
        ("asked for", steering.phrasings("positive")),
        ("asked not to", steering.phrasings("negative")),
        ("held back, asked for", steering.held_back_positive),
        ("held back, asked not to", steering.held_back_negative),
    )
    return [
        f"## Steering: `{steering.name}`",
        "",
        *(f"- {what}: {prompt}" for what, prompts in sides for prompt in prompts),
        "",
    ]
