"""The parts of a training, put together: model, reference, rewards, and the maker of groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from peft import PeftModel

from neat_align.errors import raise_all
from neat_align.models.fit import vocabulary_problems
from neat_align.models.layout.packable import prepare_for_packing
from neat_align.models.padding import padding_problems
from neat_align.objectives import Objective
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Sampler
from neat_align.sampling.local import TransformersSampler
from neat_align.scoring import Bound, Need, ScorerSet, bind_scorer, needs_of, resolve_scorer
from neat_align.training.adapters import frozen_problems, quantised_problems, with_adapter
from neat_align.training.config import NEATConfig
from neat_align.training.dropout import disable_dropout
from neat_align.training.given_objects import unmerge
from neat_align.training.online import ScoredGroupMaker
from neat_align.training.precision import precision_problems
from neat_align.training.reference import Reference, ReferenceSampler
from neat_align.training.stopwatch import Stopwatch


@dataclass(frozen=True)
class Trained:
    """The model to train, ready for it.

    Attributes:
        came_with_adapter: whether it had an adapter before one was asked for.
        dropout: what its config said of dropout, where that was turned off.
    """

    model: Any
    came_with_adapter: bool
    dropout: dict[str, Any]


def prepared_model(model: Any, peft_config: Any, args: NEATConfig, tokenizer: Any) -> Trained:
    """Give a model its adapter, and look whether it can be trained.

    Raises:
        ModelError: it cannot be trained so.
    """
    unmerge(model)
    model, came_with_adapter = with_adapter(model, peft_config, args.seed)
    raise_all(
        frozen_problems(model) or [*quantised_problems(model), *precision_problems(model, args)]
    )
    raise_all(vocabulary_problems(model, tokenizer) or padding_problems(model))
    dropout = disable_dropout(model) if args.disable_dropout else {}
    if args.packed:
        prepare_for_packing(model.get_base_model() if isinstance(model, PeftModel) else model)
    return Trained(model, came_with_adapter, dropout)


def make_reference(
    args: NEATConfig,
    objective: Objective,
    rewards: Sequence[Any] | None,
    model: Any,
    given: Any,
    came_with_adapter: bool,
) -> Reference | None:
    """Make the reference where the objective, the sampling or a reward asks for one.

    Args:
        rewards: of what is sampled; None where nothing is.
    """
    asked = rewards is not None and (
        args.reference_negative_fraction > 0
        or args.plausibility > 0
        or any(Need.REFERENCE in needs_of(reward) for reward in rewards)
    )
    if not (objective.needs_reference or asked):
        return None
    return Reference(model, given, came_with_adapter)


def make_maker(
    args: NEATConfig,
    model: Any,
    prompt_format: PromptFormat,
    steering: Steering,
    reference: Reference | None,
    scorers: ScorerSet,
    sampler: Sampler | None,
    stopwatch: Stopwatch,
) -> ScoredGroupMaker:
    """What samples and scores groups from the policy, or from what is given instead."""
    size = args.sampling_batch_size
    other = None
    if args.reference_negative_fraction > 0:
        other = ReferenceSampler(reference, prompt_format, size)
    return ScoredGroupMaker(
        policy=sampler or TransformersSampler(model, prompt_format, "policy", size),
        reference=other,
        scorers=scorers,
        steering=steering,
        plan=args.plan,
        decoding=args.decoding,
        reference_negative_fraction=args.reference_negative_fraction,
        add_data_answers=args.add_data_responses,
        stopwatch=stopwatch,
    )


def make_scorers(
    args: NEATConfig,
    rewards: Sequence[Any],
    weights: Sequence[float] | None,
    prompt_format: PromptFormat,
    steering: Steering,
    reference: Reference | None,
    policy: Callable[[], Any],
) -> ScorerSet:
    """Make the rewards, and the plausibility where it has a weight, with what they need.

    Args:
        policy: gives the policy for a `with` block.
    """
    weights = list(weights) if weights is not None else [1.0] * len(rewards)
    if args.plausibility:
        rewards, weights = [*rewards, "plausibility"], [*weights, args.plausibility]
    bound = Bound(
        policy=policy,
        reference=reference.model if reference else None,
        prompt_format=prompt_format,
        steering=steering,
        data_answers=args.add_data_responses,
        max_tokens=args.max_tokens_per_pass,
    )
    made = [resolve_scorer(reward, device=args.device) for reward in rewards]
    return ScorerSet([bind_scorer(scorer, bound) for scorer in made], weights)
