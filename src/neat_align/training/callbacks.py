"""Watch a run: the guard rails, the metrics file, and the bar that shows its progress."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from neat_align.objectives import Objective
from neat_align.training.config import NEATConfig
from neat_align.training.run_signal import ScoreSignal

logger = logging.getLogger(__name__)


class GuardRails(TrainerCallback):
    """Warns when the language-modelling anchor is off; stops on KL, lost diversity, lost signal."""

    def __init__(self, config: NEATConfig, objective: Objective, signal: ScoreSignal) -> None:
        self.config, self.objective, self.signal = config, objective, signal

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if getattr(self.objective, "lm_weight", None) == 0:
            warnings.warn(
                f"lm_weight is 0: ranking without the language-modelling term lets the "
                f"likelihood of good answers fall; {self.objective.name} degenerates easily",
                stacklevel=1,  # ours, and not the Trainer's
            )
        steps = (row for row in reversed(state.log_history) if "loss" in row)
        if self._reason(next(steps, {})):
            control.should_training_stop = True  # resumed where it had stopped

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        reason = self._reason(logs or {})
        if reason and not control.should_training_stop:
            control.should_training_stop = True
            logger.warning("stopped early at step %d: %s", state.global_step, reason)
            logs["stopped_early"] = reason

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:  # not one that was stopped on the way
            self.signal.judge()  # a run of few groups

    def _reason(self, logs: dict[str, Any]) -> str:
        kl, stop_kl = logs.get("kl"), self.config.stop_kl
        if kl is not None and stop_kl is not None and kl > stop_kl:
            return f"KL {kl:.2f} nats per response is above stop_kl={stop_kl}"
        diversity, floor = logs.get("distinct_2"), self.config.stop_distinct_2
        if diversity is not None and floor is not None and diversity < floor:
            return f"distinct-2 {diversity:.3f} is below stop_distinct_2={floor}"
        return self.signal.ended


class MetricsFile(TrainerCallback):
    """Writes every log to `metrics.jsonl`; a resumed run goes on in place.

    One row for each logged step, and one for each evaluation, with names that begin with eval/.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "metrics.jsonl"

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [row for row in rows if state.global_step and _step(row) <= state.global_step]
        self.path.write_text("".join(row + "\n" for row in kept), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs and "loss" in logs:
            self._add({"step": state.global_step, **logs})

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.path.parent.is_dir():
            self._add({"step": state.global_step, **state.log_history[-1]})

    def _add(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _step(row: str) -> int:
    """Read the step of a row; a row cut short by a crash counts as beyond every step."""
    try:
        return int(json.loads(row)["step"])
    except (ValueError, KeyError):
        return 2**62


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
