"""Declare what scores the responses: the `reward` section, or a text in its place."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from neat_align import defaults
from neat_align.config import NEATSettings
from neat_align.recipe.data_and_model import Data
from neat_align.recipe.section import Section
from neat_align.scoring import Combination
from neat_align.scoring.combination import dispute_problems
from neat_align.scoring.registry import by_name, named_scorers, written

COMBINED = ("combine", "deviations", "centres", "spreads", "max_dispute")


class RewardTraining(Section):
    """A reward model trained on preferences; see `RewardModelSettings`.

    Attributes:
        data: rows with prompt, chosen and rejected.
        learning_rate, epochs, batch_size: of the training.
        max_length: tokens; longer texts lose their beginning.
        holdout: share of the pairs kept for the reported accuracy.
        lora: trains adapters instead of all weights (keys as in `train.lora`).
    """

    data: Data
    learning_rate: float = Field(defaults.REWARD_LEARNING_RATE, gt=0)
    epochs: float = Field(defaults.REWARD_EPOCHS, gt=0)
    batch_size: int = Field(defaults.REWARD_BATCH_SIZE, ge=1)
    max_length: int = Field(defaults.REWARD_MAX_LENGTH, ge=16)
    holdout: float = Field(defaults.REWARD_HOLDOUT, gt=0, lt=1)
    lora: dict[str, Any] | None = None

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out an adapter that is not asked for: a run of before is the same run."""
        return {k: v for k, v in write(self).items() if k != "lora" or v is not None}


def reward_section(value: Any) -> Any:
    """Write the section that a text in its place stands for: what `--reward` takes."""
    if isinstance(value, list):
        return {"functions": value}
    if not isinstance(value, str):
        return value
    named = by_name(value)
    if named is None:
        return {"functions": [value]} if ":" in value else {"model": value}
    name, kind = named.kind.name, _own_keys().get(named.kind.name)
    if kind is bool:
        return {name: True}
    return {"functions": [value]} if kind != str | None else {name: named.argument}


def _own_keys() -> dict[str, Any]:
    """List the named scorers that have a key of their own in `reward`, with its type."""
    fields, named = Reward.model_fields, named_scorers()
    return {n: f.annotation for n, f in fields.items() if n in named and f.annotation is not float}


def _with_names(section: dict[str, Any]) -> dict[str, Any]:
    """Put named scorers without a key of their own among the functions: `NAME: true`."""
    found = [n for n in named_scorers() if n in section and n not in Reward.model_fields]
    if not found:
        return section
    own = [text for n in found if (text := written(n, section[n])) is not None]
    kept = {key: value for key, value in section.items() if key not in found}
    return {**kept, "functions": [*kept.get("functions", []), *own]}


class Reward(Section):
    """What scores the responses: models and functions, weighted; polarity; or trained here.

    A text or a list in place of the section names them, as `--reward` does.

    Attributes:
        model: a reward model's directory or hub id.
        functions: "file.py:function" or "module:function", in TRL's signature.
        weights: one per reward, in the order model, functions, polarity, judge, self_judge,
            self_contrast, train; 1 each by default. Further named scorers (`neat scorer
            list`) are functions, also where they are keys of their own.
        polarity: positive +1, plain 0, negative −1, without any reward model.
        self_judge: the policy grades itself (`scoring.named.self_judge`).
        self_contrast: distance from the data's answer, by this embedder: "words", a model or
            a function (`scoring.named.self_contrast`).
        judge: a model on a server that grades by a sentence of yours.
        plausibility: weight of what the reference model thinks of a response under a
            positive prompt (`scoring.named.plausibility`); 0 leaves it out.
        train: trains a reward model here.
        combine: how several scores become one: their weighted sum or mean, the minimum, or
            lower_bound, the mean less `deviations` times their standard deviation.
        deviations: standard deviations that lower_bound takes off.
        centres, spreads: one per reward, in the order of weights: (score − centre) / spread is
            what is combined; `neat reward audit` tells mean and spread of a reward.
        max_dispute: leaves groups out in which two rewards order more than this share of the
            response pairs in opposite ways.
    """

    model: str | None = None
    functions: list[str] = Field(default_factory=list)
    weights: list[float] | None = None
    polarity: bool = False
    judge: dict[str, Any] | None = None
    self_judge: bool = False
    self_contrast: str | None = None
    plausibility: float = Field(0.0, ge=0)
    train: RewardTraining | None = None
    combine: Literal["sum", "mean", "minimum", "lower_bound"] = "sum"
    deviations: float = Field(NEATSettings.reward_deviations, ge=0)
    centres: list[float] = Field(default_factory=list)
    spreads: list[float] = Field(default_factory=list)
    max_dispute: float | None = Field(None, ge=0, le=1)

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a combination that is not asked for: a run of before is the same run."""
        usual = {
            n: self.__class__.model_fields[n].get_default(call_default_factory=True)
            for n in COMBINED
        }
        return {k: v for k, v in write(self).items() if k not in usual or v != usual[k]}

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        section = reward_section(value)
        return _with_names(section) if isinstance(section, dict) else section

    @property
    def names(self) -> list[str]:
        """List the named scorers, the model first."""
        named = [self.model] if self.model else []
        own = (written(name, getattr(self, name) or None) for name in _own_keys())
        return [*named, *self.functions, *(name for name in own if name)]

    @model_validator(mode="after")
    def _something(self) -> Reward:
        count = len(self.names) + (self.train is not None)
        if not count and not self.plausibility:
            raise ValueError(
                "give a model, functions, train, polarity: true, judge, self_judge: true, "
                "self_contrast or plausibility"
            )
        if self.weights is not None and len(self.weights) != count:
            raise ValueError(f"{len(self.weights)} weights for {count} rewards")
        self._check_combination(count)
        if self.weights and not any(self.weights) and not self.plausibility:
            raise ValueError("all weights are 0, so every response would score alike")
        return self

    def _check_combination(self, count: int) -> None:
        """Refuse rewards that cannot be combined as asked."""
        weights, more = self.weights or [1.0] * count, self.plausibility > 0
        found = self.combination.problems(weights, more)
        found += dispute_problems(self.max_dispute, sum(w != 0 for w in weights) + more)
        if found:
            raise ValueError("; ".join(f"{p.given}: {p.why}; {p.fix}" for p in found))

    @property
    def combination(self) -> Combination:
        """How the scores become one."""
        scale = tuple(self.centres), tuple(self.spreads)
        return Combination(self.combine, self.deviations, *scale)
