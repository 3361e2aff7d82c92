"""Where the seconds and the tokens of a run go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback


@dataclass
class Stopwatch:
    """Seconds and tokens spent in each phase, since the last reading and in all."""

    seconds: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    total_seconds: dict[str, float] = field(default_factory=dict)
    total_tokens: dict[str, int] = field(default_factory=dict)

    @contextlib.contextmanager
    def time(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - start)

    def add(self, phase: str, seconds: float) -> None:
        for table in (self.seconds, self.total_seconds):
            table[phase] = table.get(phase, 0.0) + seconds

    def count(self, phase: str, tokens: int) -> None:
        for table in (self.tokens, self.total_tokens):
            table[phase] = table.get(phase, 0) + tokens

    def read(self) -> dict[str, float]:
        """Return `seconds/PHASE` and `tokens_per_second/PHASE`, and reset."""
        metrics = {f"seconds/{phase}": s for phase, s in self.seconds.items()}
        for phase, tokens in self.tokens.items():
            if self.seconds.get(phase):
                metrics[f"tokens_per_second/{phase}"] = tokens / self.seconds[phase]
        self.seconds, self.tokens = {}, {}
        return metrics


class Phases(TrainerCallback):
    """Times the optimiser, and what no phase accounts for, as "rest"."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.step_began = time.perf_counter()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stopwatch.add("optimizer", time.perf_counter() - self.step_began)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        known = sum(self.stopwatch.total_seconds.values())
        self.stopwatch.add("rest", max(0.0, time.perf_counter() - self.began - known))


def shares(seconds: dict[str, float]) -> str:
    """List phases, longest first, with their share: "training 60 %, sampling 40 %"."""
    total = sum(seconds.values()) or 1.0
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{phase} {s / total:.0%}".replace("%", " %") for phase, s in longest)
