"""What a metric is: its words, and what it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from neat_align.evaluation.statistics import Interval

Sample = Mapping[str, Any]
Part = Literal["behaviour", "side effects", "price"]
Shown = Literal["summary", "report", "comparison"]
SUMMARY: tuple[Shown, ...] = ("summary", "report", "comparison")
PARTS: tuple[Part, ...] = ("behaviour", "side effects", "price")


@dataclass(frozen=True)
class Metric:
    """A figure of an evaluation: how a reader sees it, and how it is computed.

    Attributes:
        name: under which it stands in evaluation.json.
        title: its name for readers.
        meaning: a sentence for someone who has not read the paper.
        better: the direction that is an improvement.
        unit: shares are shown as percentages.
        part: what it belongs to: the behaviour asked for, a side effect, or the price.
        shown: at the head of the report, in its list and on the terminal, in the tables of a
            comparison; the report's table of models shows every metric.
        observe: its value for one response; None where the response has no say in it. The
            figure is the mean; where all values are true or false, a share.
        measure: its value for all responses together, where it is no mean. A metric with
            neither is one of the model, which the suite asks (KL, perplexity).
    """

    name: str
    title: str
    meaning: str
    better: Literal["lower", "higher", "neither"] = "neither"
    unit: Literal["share", "number"] = "number"
    part: Part = "price"
    shown: tuple[Shown, ...] = ("report", "comparison")
    observe: Callable[[Sample], float | bool | None] | None = None
    measure: Callable[[Sequence[Sample]], Interval | None] | None = None
