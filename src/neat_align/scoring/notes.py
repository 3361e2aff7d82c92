"""What reward functions tell beside their scores, as in TRL: metrics, and columns of a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from neat_align.errors import RewardError


@dataclass
class Notes:
    """What `log_metric` and `log_extra` were told, until somebody takes it.

    Attributes:
        trainer_state: gives the `transformers.TrainerState` of the training that scores;
            None outside of one, as in `neat score` and the evaluation.
        metrics: every value that was told, by name.
        extras: columns of the last call, one value per response.
    """

    trainer_state: Callable[[], Any] = lambda: None
    metrics: dict[str, list[float]] = field(default_factory=dict)
    extras: dict[str, list[Any]] = field(default_factory=dict)
    _call: dict[str, list[Any]] = field(default_factory=dict)

    def log_metric(self, name: str, value: Any) -> None:
        """Note a figure of this call; the mean of all calls is logged.

        Raises:
            RewardError: the value is no number.
        """
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise RewardError(
                f"log_metric({name!r}, …)",
                f"it was given {type(value).__name__} {str(value)[:60]!r}",
                "give one number per call, for example the mean over the completions",
            ) from error
        self.metrics.setdefault(str(name), []).append(number)

    def log_extra(self, column: str, values: Sequence[Any]) -> None:
        """Note a column of the completions log, one value per completion of this call.

        Raises:
            RewardError: the values are no sequence.
        """
        if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
            raise RewardError(
                f"log_extra({column!r}, …)",
                f"it was given {type(values).__name__}, not a list",
                "give one value per completion",
            )
        self._call.setdefault(str(column), []).extend(values)

    def end_call(self, count: int) -> None:
        """Keep the columns of a call that scored `count` responses.

        Raises:
            RewardError: a column has not one value per response.
        """
        self.extras, self._call = self._call, {}
        for column, values in self.extras.items():
            if len(values) != count:
                raise RewardError(
                    f"log_extra({column!r}, …)",
                    f"it was given {len(values)} values for {count} completions",
                    "give one value per completion, None where there is none",
                )

    def take_metrics(self) -> dict[str, float]:
        """Take the means since the last time, of finite values, as in TRL."""
        told, self.metrics = self.metrics, {}
        finite = {name: [v for v in all_ if math.isfinite(v)] for name, all_ in told.items()}
        return {name: fmean(values) for name, values in finite.items() if values}

    def take_extras(self) -> dict[str, list[Any]]:
        """Take the columns of the last call."""
        told, self.extras = self.extras, {}
        return told
