"""Read the arguments of a `NEATTrainer` as a whole, before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neat_align.errors import raise_all
from neat_align.objectives import NEAT, Objective
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Sampler
from neat_align.training.argument_values import (
    Collected,
    adapter_of,
    callbacks_of,
    datasets_of,
    model_problems,
    objective_of,
    rewards_of,
    settings_of,
    with_tokenizers,
)
from neat_align.training.arguments import Arguments
from neat_align.training.config import NEATConfig
from neat_align.training.given_objects import class_of, optimizers_of, sampler_of
from neat_align.training.model_options import ModelOptions
from neat_align.training.records import Records, sets_of


@dataclass(frozen=True)
class Given:
    """The arguments of a `NEATTrainer` as it works with them.

    Attributes:
        arguments: as they were given, for what is loaded later: model, reference, tokenizer.
        optimizer_class: the optimiser's class with its arguments, where one was given.
        loading: how the model is loaded, where it is only named.
        negative_context: that of the settings, or else what the objective suggests.
    """

    arguments: Arguments
    args: NEATConfig
    objective: Objective
    steering: Steering | None
    rewards: list[Any]
    peft_config: Any
    callbacks: list[Any]
    trained: Records
    held_out: Records | Mapping[str, Records] | None
    sampler: Sampler | None
    optimizers: tuple[Any, Any]
    optimizer_class: tuple[Any, dict[str, Any]] | None
    loading: ModelOptions

    @property
    def negative_context(self) -> float:
        own = self.args.negative_context
        return self.objective.suggested_negative_context if own is None else own

    @property
    def sets(self) -> list[Records]:
        """All data, to train and to evaluate on."""
        return [self.trained, *sets_of(self.held_out).values()]

    @property
    def samples(self) -> bool:
        """Whether answers are sampled for any of the data."""
        return any(records.are_queries for records in self.sets)

    def load_model(self) -> Any:
        """Load the model where it is only named."""
        model = self.arguments.model
        return self.loading.load(model) if isinstance(model, str | Path) else model


def read_arguments(arguments: Arguments, unknown: Mapping[str, Any]) -> Given:
    """Read the arguments of a `NEATTrainer`.

    Args:
        unknown: those that it does not take.

    Raises:
        InputError: any of them cannot be; all of it at once.
    """
    problems = Collected()
    arguments, problems.errors = arguments.with_others(unknown)
    raise_all(list(arguments.misplaced()))
    return _read(arguments, problems)


def _read(given: Arguments, problems: Collected) -> Given:
    problems.errors += model_problems(given.model)
    settings = problems.of(settings_of, given.args, given.model)
    loss = problems.of(objective_of, given.objective) or NEAT()
    pair = None if given.steering is None else problems.of(Steering.from_value, given.steering)
    rewards = problems.of(rewards_of, given.reward_funcs, given.reward_weights) or []
    tokenizers = given.reward_processing_classes
    rewards = problems.of(with_tokenizers, rewards, tokenizers) or []
    adapter = problems.of(adapter_of, given.peft_config)
    watching = problems.of(callbacks_of, given.callbacks) or []
    trained, held_out = datasets_of(given.train_dataset, given.eval_dataset, settings, problems)
    sampler = problems.of(sampler_of, given.sampler)
    optimizers = problems.of(optimizers_of, given.optimizers) or (None, None)
    options = settings.model_init_kwargs if settings else None
    loading = problems.of(ModelOptions.of, options, given.model) or ModelOptions()
    made = problems.of(class_of, given.optimizer_cls_and_kwargs, optimizers[0])
    raise_all(problems.errors)
    return Given(
        given, settings, loss, pair, rewards, adapter, watching, trained, held_out, sampler,
        optimizers, made, loading,
    )  # fmt: skip
