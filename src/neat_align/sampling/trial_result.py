"""What a trial of a steering pair found, as a record that a run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

TRIAL_FILE = "steering_trial.json"  # beside the metrics of a training
MARGIN = 1.5  # standard errors
STEERS, STOPS, NOT_JUDGED = "steers", "does not steer", "not judged"


@dataclass(frozen=True)
class Effect:
    """A side's score − the plain score, the mean over queries and its standard error."""

    change: float
    error: float

    @property
    def rises(self) -> bool:
        """Tell whether it is above 0 by more than chance would have it."""
        return self.change > 0 and self.change >= MARGIN * self.error * (1 - 1e-9)

    def turned(self) -> Effect:
        """Return the plain score − the side's."""
        return Effect(-self.change, self.error)


@dataclass(frozen=True)
class PhrasingTrial:
    """What one phrasing brought out, all of a side that steer through one channel, or none.

    Attributes:
        source: the side; "plain" for the answers without steering.
        prompt: the phrasing as tables show it; "" for all of a channel.
        score: mean of its answers; None where nothing was judged.
        change: mean of its answers' score − the plain one of the same query.
        flipped: bad plain answers whose query it answered well (of the positive side), or good
            ones whose query it answered badly (of the negative side) …
        flippable: … out of so many.
        good: its answers above the border …
        answers: … out of so many; 0 where there is no border.
        split: groups whose plain answers and its own are of both kinds …
        groups: … out of so many.
    """

    source: str
    channel: str
    prompt: str
    score: float | None = None
    change: float | None = None
    flipped: int = 0
    flippable: int = 0
    good: int = 0
    answers: int = 0
    split: int = 0
    groups: int = 0


@dataclass(frozen=True)
class SteeringTrial:
    """What came of it.

    Attributes:
        verdict: "steers", "does not steer" or "not judged".
        border: what separates good answers (above it) from bad ones: the middle between the
            highest and the lowest of the mean scores of plain, positive and negative; None
            where these are equal, or nothing was judged.
        means: mean score of plain answers and of each side.
        effects: of each side.
        prompts: of each phrasing.
        channels: of each channel of a side.
        problems: why training is not to begin.
        warnings: what to look at.
        answers: every answer: query, source, steering, text, finish, score.
        plain: of the answers without steering; None where nothing was judged.
    """

    steering: str
    queries: int
    verdict: str
    border: float | None
    means: dict[str, float]
    effects: dict[str, Effect]
    prompts: tuple[PhrasingTrial, ...]
    channels: tuple[PhrasingTrial, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    answers: tuple[dict[str, Any], ...]
    plain: PhrasingTrial | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SteeringTrial:
        parts = ("prompts", "channels")
        listed = {name: tuple(record[name]) for name in ("problems", "warnings", "answers")}
        rows = {name: tuple(PhrasingTrial(**row) for row in record[name]) for name in parts}
        effects = {side: Effect(**effect) for side, effect in record["effects"].items()}
        plain = PhrasingTrial(**record["plain"]) if record["plain"] else None
        return cls(**{**record, **listed, **rows, "effects": effects, "plain": plain})
