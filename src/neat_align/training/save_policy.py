"""A trained policy as an ordinary model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neat_align.storage.atomic import atomic_directory
from neat_align.storage.identity import Sources


def save_policy(trainer: Any, path: Path, sources: Sources | None = None) -> None:
    """Write model, tokenizer and card as a model directory, by the first of all ranks.

    An adapter is merged into it, and also kept by itself in `path`/adapter; or, with
    `merge_adapter=False`, is all that is saved: `path` is then the adapter's directory.
    """
    from neat_align.training.model_card import model_card
    from neat_align.training.sharding import shards_weights

    accelerator = trainer.accelerator
    # Gathering the shards takes all ranks.
    whole = accelerator.get_state_dict(trainer.model) if shards_weights(accelerator) else None
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        return
    with atomic_directory(path) as folder:
        _save_model(trainer, folder, whole)
        if trainer.steering is not None:
            trainer.steering.save(folder)
        (folder / "README.md").write_text(model_card(trainer, sources), encoding="utf-8")
    accelerator.wait_for_everyone()


def stop_at_turns_end(model: Any, prompt_format: Any) -> None:
    """Let `generate` stop where the policy was trained to, whoever loads it."""
    config = model.generation_config
    configured = config.eos_token_id if config is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    missing = prompt_format.stop_ids - set(listed)
    if config is not None and missing:
        known = [i for i in listed if i is not None]
        config.eos_token_id = [*known, *sorted(missing)]


def _save_model(trainer: Any, folder: Path, whole: Any) -> None:
    from peft import PeftModel

    from neat_align.training.adapters import merged, save_adapter
    from neat_align.training.dropout import restore_config

    tokenizer = trainer.prompt_format.tokenizer
    model = trainer.accelerator.unwrap_model(trainer.model)
    restore_config(model, trainer.config_dropout)
    tokenizer.save_pretrained(folder)
    stop_at_turns_end(model, trainer.prompt_format)
    if isinstance(model, PeftModel):
        alone = folder / "adapter" if trainer.args.merge_adapter else folder
        save_adapter(model, alone)
        if trainer.steering is not None:
            trainer.steering.save(alone)
        tokenizer.save_pretrained(alone)
        if not trainer.args.merge_adapter:
            return
        model = merged(model)
    model.save_pretrained(folder, state_dict=whole)
