"""The arguments of `NEATTrainer` as users give them: their types, their order and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
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

Model: TypeAlias = PreTrainedModel | PeftModel | str | Path
Reward: TypeAlias = Scorer | torch.nn.Module | Callable[..., Any] | str | Path
Rewards: TypeAlias = Reward | Sequence[Reward]
Settings: TypeAlias = NEATConfig | Mapping[str, Any]
HubData: TypeAlias = datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict
Data: TypeAlias = HubData | Dataset[Any] | Iterable[Any] | DataSpec | str | Path
HeldOut: TypeAlias = Data | Mapping[str, Data]
Tokenizer: TypeAlias = PreTrainedTokenizerBase | ProcessorMixin | str | Path
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

INSTEAD = {
    "compute_metrics": "what is measured of answers are rewards: give a function in reward_funcs",
    "preprocess_logits_for_metrics": "the evaluation measures answers, not logits: leave it out",
    "compute_loss_func": "the loss is the objective: give one of your own as objective",
    "data_collator": "groups are laid out by the trainer: leave it out",
    "model_init": "give the model; a new trainer starts from it anew",
    "formatting_func": "give rows with `prompt` in one of TRL's formats, or Query.from_text(…)",
    "tokenizer": "give it as processing_class",
    "ref_model": "give it as reference_model",
    "reward_model": "give it in reward_funcs",
    "reward_func": "give it in reward_funcs",
    "reward_function": "give it in reward_funcs",
    "reward_functions": "give them in reward_funcs",
    "reward_processing_classes": "a reward model's tokenizer is loaded from its directory",
    "loss": "give it as objective",
    "loss_type": "give it as objective, e.g. DPO()",
    "beta": "it belongs to the objective, e.g. objective=DPO(beta=0.1)",
    "config": "give it as args",
    "training_args": "give them as args",
    "dataset": "give it as train_dataset",
    "queries": "give them as train_dataset",
    "groups": "give them as train_dataset",
    "eval_queries": "give them as eval_dataset",
    "negative_prompts": 'give them as steering={"negative": […]}',
    "positive_prompts": 'give them as steering={"positive": […], "negative": […]}',
    "lora_config": "give it as peft_config",
}
"""An argument that other trainers have → what to do here."""


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
    reference_model: Model | None = None
    sampler: Sampler | None = None
    optimizer_cls_and_kwargs: OptimizerClass | None = None

    def misplaced(self) -> Iterator[InputError]:
        """Tell of settings, an objective or a steering pair where rewards or data belong."""
        for name in ("reward_funcs", "train_dataset", "eval_dataset"):
            belongs = _belongs(getattr(self, name))
            if belongs:
                given = f"{name}: something of type {type(getattr(self, name)).__name__}"
                fix = f"give it as {belongs}=…; the order is {ORDER}"
                yield RecipeError(given, f"it belongs to {belongs}", fix)


def _belongs(given: object) -> str | None:
    """Name the argument that something of another kind was meant as; None where none is known."""
    kind = given if isinstance(given, type) else type(given)
    for meant, name in (
        (TrainingArguments, "args"),
        (Objective, "objective"),
        (Steering, "steering"),
    ):
        if issubclass(kind, meant):
            return name
    return None


ARGUMENTS = tuple(field.name for field in fields(Arguments))


def unknown_arguments(given: Mapping[str, Any]) -> list[InputError]:
    """List an error for every argument that `NEATTrainer` does not take."""
    problems: list[InputError] = []
    for name in given:
        fix = INSTEAD.get(name) or nearest(name, ARGUMENTS)
        if name in NEATConfig.__dataclass_fields__:
            fix = f"it is a setting: args=NEATConfig({name}=…)"
        problems.append(
            RecipeError(f"the argument {name}", "NEATTrainer takes none so called", fix)
        )
    return problems
