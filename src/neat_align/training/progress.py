"""Show the progress of a training, and print nothing beside it."""

from __future__ import annotations

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer


class Progress(ProgressCallback):
    """The Trainer's bar, with the figures to watch behind it instead of a line for each log."""

    SHOWN = ("loss", "reward", "negatives/still_bad", "kl")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.training_bar is not None and logs:
            shown = {name: f"{logs[name]:.2f}" for name in self.SHOWN if name in logs}
            self.training_bar.set_postfix(shown)


def print_nothing_else(trainer: Trainer) -> None:
    """Replace the callbacks of a Trainer that print its logs."""
    trainer.pop_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(Progress())
