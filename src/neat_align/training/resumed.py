"""Tell by content which training a checkpoint belongs to: texts, objective, rewards and data.

The Trainer goes on from a checkpoint with whatever it is given now. Under another rule or
another reward that would be another training, half of it done.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from neat_align.config import NEATSettings
from neat_align.errors import OutputError
from neat_align.prompts.steering import SIDES
from neat_align.storage.atomic import atomic_write_json, read_json
from neat_align.storage.identity import differences, identity

FILE = "made_from.json"


def write_made_from(folder: Path, trainer: Any) -> None:
    """Write into a checkpoint what the training is made from."""
    atomic_write_json(folder / FILE, _made_from(trainer))


def refuse_other_training(folder: Path, trainer: Any) -> None:
    """Make sure that a checkpoint is of the training that is to go on from it.

    Raises:
        OutputError: steering texts, objective, rewards or queries differ; each is named.
    """
    if not (folder / FILE).exists():
        return  # of a version that did not leave it
    left, made = read_json(folder / FILE), _made_from(trainer)
    made = {part: value for part, value in made.items() if part in left}
    before, now = identity(left, {}), identity(made, {})
    different = differences(before, now, {})
    if different:
        raise OutputError(
            f"checkpoint {folder}",
            f"it is of another training; what differs: {', '.join(different)}",
            "go on with what it was made from, or train anew in another output_dir",
        )


def _made_from(trainer: Any) -> dict[str, Any]:
    pair, objective = trainer.steering, trainer.objective
    return {
        "steering": {side: list(pair.written(side)) for side in SIDES} if pair else None,
        "objective": {"name": objective.name, **dict(_parameters(objective))},
        "negative_context": trainer.negative_context,
        "rewards": dict(_rewards(trainer)),
        "data": _ids(trainer.train_dataset),
        "settings": _settings(trainer.args),
        "model": _model(trainer),
    }


COMBINING = (
    "reward_combine", "reward_deviations", "reward_centres", "reward_spreads", "max_dispute",
)  # fmt: skip
DECIDING = (
    "seed", "data_seed", "per_device_train_batch_size", "gradient_accumulation_steps",
    "refresh_every", "positive_samples", "negative_samples", "plain_samples",
    "add_data_responses", "reference_negative_fraction", "good_above", "resample_groups",
    "drop_unsplit", *COMBINING, "max_new_tokens", "temperature",
    "top_p", "top_k", "min_p", "stop_strings", "positive_channels",
    "negative_channels", "chat_template_kwargs", "max_query_tokens",
    "learning_rate", "weight_decay", "max_grad_norm", "optim", "optim_args", "adam_beta1",
    "adam_beta2", "adam_epsilon", "neftune_noise_alpha", "disable_dropout",
)  # fmt: skip
"""Settings of which the Trainer would mix two values, or go on with the first without a word.

Not among them: how long is trained, what is logged, saved and measured, and where.
"""


def _settings(args: Any) -> dict[str, Any]:
    given = {name: getattr(args, name) for name in DECIDING}
    given["stop_strings"] = list(given["stop_strings"])
    for name in ("positive_channels", "negative_channels"):  # older checkpoints have none
        if not given[name]:
            del given[name]
    usual = NEATSettings()
    for name in COMBINING:
        if given[name] == getattr(usual, name):
            del given[name]
    return {name: getattr(value, "value", value) for name, value in given.items()}


def _model(trainer: Any) -> dict[str, Any]:
    """Describe the policy: kind, size, adapter, and how its tokenizer writes a conversation."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    config, tokenizer = model.config, trainer.processing_class
    template = repr(tokenizer.chat_template).encode()
    adapters = getattr(model, "peft_config", None) or {}
    names = ("model_type", "hidden_size", "num_hidden_layers")
    return {
        **{name: getattr(config, name, None) for name in names},
        "adapter": {name: _adapter(adapter) for name, adapter in adapters.items()} or None,
        "tokens": len(tokenizer),
        "template": f"template:{hashlib.sha256(template).hexdigest()}",
    }


def _adapter(config: Any) -> dict[str, Any]:
    names = ("r", "lora_alpha", "target_modules", "modules_to_save", "bias")
    found = {name: getattr(config, name, None) for name in names}
    return {n: sorted(v) if isinstance(v, set | list | tuple) else v for n, v in found.items()}


def _parameters(objective: Any) -> Iterator[tuple[str, Any]]:
    values = asdict(objective) if is_dataclass(objective) else vars(objective)
    for name, value in values.items():
        is_plain = value is None or isinstance(value, str | int)
        yield name, value if is_plain else repr(value)  # JSON has no infinity


def _rewards(trainer: Any) -> Iterator[tuple[str, Any]]:
    if trainer.maker is None:
        return
    scorers = trainer.maker.scorers
    for name, scorer, weight in zip(scorers.names, scorers.scorers, scorers.weights, strict=True):
        code = _code(scorer.function) if hasattr(scorer, "function") else None
        yield name, {"weight": float(weight), **({"code": code} if code else {})}


def _code(function: Any) -> str | None:
    """Digest what a function does, comments apart; None where its text cannot be had."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return f"code:{hashlib.sha256(ast.dump(tree).encode()).hexdigest()}"


def _ids(rows: Any) -> str:
    """Digest the queries that are trained on, in their order."""
    found = hashlib.sha256()
    for row in rows:
        found.update(getattr(row, "query", row).id.encode())
    return f"queries:{found.hexdigest()}"
