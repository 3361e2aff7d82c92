"""How far a model has moved from the base: KL(model ‖ base)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neat_align.evaluation.answers import LogProbability
from neat_align.evaluation.results import BASE
from neat_align.evaluation.statistics import Interval, mean_interval
from neat_align.types import Group, Response


class DistanceToBase:
    """KL in nats per response, estimated on the model's own plain responses.

    A model that comes before the base waits for it.
    """

    def __init__(self, reference: LogProbability | None, seed: int) -> None:
        self.reference, self.seed = reference, seed
        self.waiting: dict[str, tuple[list[Group], list[float]]] = {}

    def of(
        self, name: str, log_probability: LogProbability | None, answers: Sequence[Group]
    ) -> Iterator[tuple[str, Interval]]:
        """Yield the models whose KL can be told now: this one and those that waited."""
        groups = [g for g in answers if _has_tokens(g.responses[0])]
        if name == BASE and self.reference is None:
            self.reference = log_probability
        if log_probability is not None and groups:
            self.waiting[name] = groups, [row[0] for row in log_probability(groups)]
        if self.reference is not None:
            for known, (asked, own) in self.waiting.items():
                yield known, self._kl(known, asked, own, self.reference)
            self.waiting.clear()

    def _kl(
        self, name: str, groups: list[Group], own: list[float], reference: LogProbability
    ) -> Interval:
        if name == BASE:
            return Interval(0.0, 0.0, 0.0, len(groups))
        log_ratios = [a - row[0] for a, row in zip(own, reference(groups), strict=True)]
        return mean_interval(log_ratios, self.seed, [group.query.id for group in groups])


def _has_tokens(response: Response) -> bool:
    """Tell a response from one that was cut before its first token."""
    return bool(response.token_ids or response.text or response.finish == "stop")
