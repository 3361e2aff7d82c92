"""The arguments of `NEATTrainer` as users give them: their types, their order and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import torch
from peft import PeftConfig, PeftModel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    TrainerCallback,
    TrainingArguments,
)

from neat_align.data import DataSpec
from neat_align.errors import InputError, RecipeError, nearest
from neat_align.objectives import Objective
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Sampler
from neat_align.scoring import Scorer
from neat_align.training.config import NEATConfig
from neat_align.training.trl_names import ACCEPTED_ARGUMENTS, argument_advice, renamed

Model: TypeAlias = PreTrainedModel | PeftModel | str | Path
Reward: TypeAlias = Scorer | torch.nn.Module | Callable[..., Any] | str | Path
Rewards: TypeAlias = Reward | Sequence[Reward]
Settings: TypeAlias = NEATConfig | Mapping[str, Any]
HubData: TypeAlias = datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict
Data: TypeAlias = HubData | Dataset[Any] | Iterable[Any] | DataSpec | str | Path
HeldOut: TypeAlias = Data | Mapping[str, Data]
Tokenizer: TypeAlias = PreTrainedTokenizerBase | ProcessorMixin | str | Path
RewardTokenizers: TypeAlias = PreTrainedTokenizerBase | Sequence[PreTrainedTokenizerBase | None]
Callback: TypeAlias = TrainerCallback | type[TrainerCallback]
Callbacks: TypeAlias = Callback | Sequence[Callback]
Optimizers: TypeAlias = tuple[Optimizer | None, LRScheduler | None]
OptimizerClass: TypeAlias = tuple[type[Optimizer], Mapping[str, Any]]
Adapter: TypeAlias = PeftConfig | Mapping[str, Any]
Loss: TypeAlias = Objective | type[Objective] | str | Mapping[str, Any]
Prompts: TypeAlias = Steering | str | Path | Mapping[str, Any]

ORDER = (
    "NEATTrainer(model, reward_funcs, args, train_dataset, eval_dataset, processing_class, "
    "callbacks, optimizers, peft_config), and objective=…, steering=… by name"
)


@dataclass(frozen=True)
class Arguments:
    """Hold the arguments of a `NEATTrainer` unread; see there what each means."""

    model: Model
    reward_funcs: Rewards | None = None
    args: Settings | None = None
    train_dataset: Data | None = None
    eval_dataset: HeldOut | None = None
    processing_class: Tokenizer | None = None
    callbacks: Callbacks | None = None
    optimizers: Optimizers = (None, None)
    peft_config: Adapter | None = None
    objective: Loss | None = None
    steering: Prompts | None = None
    reward_weights: Sequence[float] | None = None
    reward_processing_classes: RewardTokenizers | None = None
    reference_model: Model | None = None
    sampler: Sampler | None = None
    optimizer_cls_and_kwargs: OptimizerClass | None = None

    def with_others(self, others: Mapping[str, Any]) -> tuple[Arguments, list[InputError]]:
        """Take over what was given under TRL's names; an error for each name that is unknown."""
        given = {name: getattr(self, name) for name in ARGUMENTS}
        found, problems = renamed(others, ACCEPTED_ARGUMENTS, given)
        ours = {name: found.pop(name) for name in list(found) if name in given}
        return replace(self, **ours), [*problems, *unknown_arguments(found)]

    def misplaced(self) -> Iterator[InputError]:
        """Tell of what stands where another argument belongs, as in the order of other trainers."""
        for name in ("reward_funcs", "train_dataset", "eval_dataset"):
            value = getattr(self, name)
            belongs = _belongs(value) or (_not_a_reward(value) if name == "reward_funcs" else None)
            if belongs:
                given = f"{name}: something of type {type(value).__name__}"
                why = f"it is meant as {belongs[0]}: {belongs[1]}"
                fix = f"give it as {belongs[0]}=…; the order is {ORDER}"
                yield RecipeError(given, why, fix)


def _belongs(given: object) -> tuple[str, str] | None:
    """Name the argument that a setting, an objective or a steering pair belongs to, and why."""
    kind = given if isinstance(given, type) else type(given)
    for meant, name, what in (
        (TrainingArguments, "args", "it holds settings"),
        (Objective, "objective", "it is an objective"),
        (Steering, "steering", "it is a steering pair"),
    ):
        if issubclass(kind, meant):
            return name, what
    return None


def _not_a_reward(given: object) -> tuple[str, str] | None:
    """Name the argument that a mapping or a language model belongs to, and why."""
    if isinstance(given, Mapping):
        return "args", "it holds settings"
    if isinstance(given, PreTrainedModel | PeftModel) and given.get_output_embeddings() is not None:
        return "reference_model", "it is a language model and no sequence classifier"
    return None


ARGUMENTS = tuple(field.name for field in fields(Arguments))


def unknown_arguments(given: Mapping[str, Any]) -> list[InputError]:
    """List an error for every argument that `NEATTrainer` does not take."""
    why = "NEATTrainer takes none so called"
    return [RecipeError(f"the argument {name}", why, _instead(name)) for name in given]


def _instead(name: str) -> str:
    if name in NEATConfig.__dataclass_fields__:
        return f"it is a setting: args=NEATConfig({name}=…)"
    return argument_advice(name) or nearest(name, ARGUMENTS)
