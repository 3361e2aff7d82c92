"""What an evaluation during training needs, told before anything is sampled or loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neat_align.errors import InputError, RecipeError
from neat_align.objectives import Objective
from neat_align.prompts.steering import Steering, no_steering
from neat_align.training.config import NEATConfig
from neat_align.training.measured import metric_problems
from neat_align.training.records import Records
from neat_align.training.requirements import stored_needs


def sets_of(held_out: Records | Mapping[str, Records] | None) -> dict[str, Records]:
    """The held-out sets by their names, "" for one without."""
    if held_out is None:
        return {}
    return {"": held_out} if isinstance(held_out, Records) else dict(held_out)


def evaluation_needs(
    objective: Objective,
    args: NEATConfig,
    steering: Steering | None,
    held_out: Records | Mapping[str, Records] | None,
    has_rewards: bool,
    callbacks: Sequence[Any],
) -> list[InputError]:
    """What an evaluation lacks: data, steering, rewards, or a metric there may be."""
    sets = sets_of(held_out)
    problems = [*_without_data(args, sets), *_early_stopping(args, callbacks)]
    if sets:
        problems += metric_problems(args.metric_for_best_model, [name for name in sets if name])
    sampled = any(records.are_queries for records in sets.values())
    if sampled and steering is None:
        problems.append(no_steering("evaluating on held-out queries", "steering=…"))
    if sampled and not has_rewards and not args.plausibility:
        why = "the answers to held-out queries must be scored"
        fix = "give reward_funcs, or stored, scored groups as eval_dataset"
        problems.append(RecipeError("eval_dataset without reward_funcs", why, fix))
    for records in sets.values():
        if not records.are_queries:
            problems += stored_needs(objective, records)
    return problems


def _without_data(args: NEATConfig, sets: Mapping[str, Records]) -> Iterator[InputError]:
    if sets:
        return
    asked = {"eval_strategy": args.eval_strategy != "no", "eval_on_start": args.eval_on_start}
    for name in (name for name, is_asked in asked.items() if is_asked):
        value = getattr(args, name)
        given = f"{name}={getattr(value, 'value', value)!r}"
        why = "there are no held-out queries or groups to evaluate on"
        fix = "give eval_dataset (in a recipe: evaluate: {during_training: {path: …}})"
        yield RecipeError(given, why, fix)


def _early_stopping(args: NEATConfig, callbacks: Sequence[Any]) -> Iterator[InputError]:
    from transformers import EarlyStoppingCallback

    kinds = [c if isinstance(c, type) else type(c) for c in callbacks]
    if not any(issubclass(kind, EarlyStoppingCallback) for kind in kinds):
        return
    if args.metric_for_best_model is None or args.eval_strategy == "no":
        why = "it stops when a metric of the evaluation gets no better, and none is watched"
        fix = "set metric_for_best_model='eval/reward' and eval_strategy='steps'"
        yield RecipeError("EarlyStoppingCallback", why, fix)
