"""What a `NEATTrainer` was given, read and checked as a whole, before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neat_align.errors import InputError, raise_all
from neat_align.objectives import NEAT, Objective
from neat_align.prompts.chat import PromptFormat, conversation_problems
from neat_align.prompts.steering import Steering
from neat_align.training.arguments import (
    Collected,
    adapter_of,
    callbacks_of,
    datasets_of,
    model_problems,
    objective_of,
    rewards_of,
    settings_of,
    unknown_arguments,
)
from neat_align.training.config import NEATConfig
from neat_align.training.held_out import evaluation_needs, sets_of
from neat_align.training.measured import trainer_name
from neat_align.training.objective_terms import objective_problems
from neat_align.training.records import Records
from neat_align.training.requirements import training_needs
from neat_align.types import Query


@dataclass(frozen=True)
class Given:
    """The arguments of a `NEATTrainer` as it works with them.

    Attributes:
        negative_context: that of the settings, or else what the objective suggests.
    """

    args: NEATConfig
    objective: Objective
    steering: Steering | None
    rewards: list[Any]
    peft_config: Any
    callbacks: list[Any]
    trained: Records
    held_out: Records | Mapping[str, Records] | None

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
        """Whether answers are drawn for any of it."""
        return any(records.are_queries for records in self.sets)

    def needs(self) -> list[InputError]:
        """What is missing for all this to be trained and evaluated."""
        args, pair, rewards = self.args, self.steering, bool(self.rewards)
        return [
            *training_needs(
                self.objective, args, self.negative_context, pair, self.trained, rewards
            ),
            *objective_problems(self.objective),
            *evaluation_needs(self.objective, args, pair, self.held_out, rewards, self.callbacks),
        ]

    def check_conversations(self, prompt_format: PromptFormat) -> None:
        """Raise a `DataError` where the chat template refuses a query."""
        for records in self.sets:
            asked = (item if isinstance(item, Query) else item.query for item in records)
            raise_all(conversation_problems(asked, prompt_format))


def read_arguments(
    model: Any,
    args: Any,
    objective: Any,
    steering: Any,
    reward_funcs: Any,
    reward_weights: Sequence[float] | None,
    train_dataset: Any,
    eval_dataset: Any,
    peft_config: Any,
    callbacks: Any,
    unknown: Mapping[str, Any],
) -> Given:
    """The arguments of a `NEATTrainer`.

    Args:
        unknown: those that it does not take.

    Raises:
        InputError: any of them cannot be, or something is missing; all of it at once.
    """
    problems = Collected()
    problems.errors += [*unknown_arguments(unknown), *model_problems(model)]
    settings = problems.of(settings_of, args, model)
    loss = problems.of(objective_of, objective) or NEAT()
    pair = problems.of(Steering.from_value, steering) if steering is not None else None
    rewards = problems.of(rewards_of, reward_funcs, reward_weights) or []
    adapter = problems.of(adapter_of, peft_config)
    watching = problems.of(callbacks_of, callbacks) or []
    trained, held_out = datasets_of(train_dataset, eval_dataset, settings, problems)
    raise_all(problems.errors)
    given = Given(settings, loss, pair, rewards, adapter, watching, trained, held_out)
    raise_all(given.needs())
    if settings.metric_for_best_model is not None:
        names = list(sets_of(held_out))
        settings.metric_for_best_model = trainer_name(settings.metric_for_best_model, names)
    return given
