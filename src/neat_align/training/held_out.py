"""What an evaluation during training needs, told before anything is sampled or loaded."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neat_align.errors import InputError, RecipeError
from neat_align.objectives import Objective
from neat_align.steering import Steering, no_steering
from neat_align.training.config import NEATConfig
from neat_align.training.records import Records
from neat_align.training.requirements import stored_needs

MEASURED = ("loss", "reward", "kl", "distinct_2", "empty", "response_tokens", "logps/chosen",
            "logps/rejected", "rewards/margins", "rewards/accuracies", "signal/usable",
            "negatives/still_bad")  # fmt: skip
"""What an evaluation may log, among others."""
MISSPELT = 0.75  # likeness from which a name is one of these, written wrongly


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
    problems = [*_without_data(args, sets), *_metric(args, sets), *_early_stopping(args, callbacks)]
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
        given = f"{name}={str(getattr(args, name))!r}"
        why = "there are no held-out queries or groups to evaluate on"
        fix = "give eval_dataset (in a recipe: train: {eval_queries: {path: …}})"
        yield RecipeError(given, why, fix)


def _metric(args: NEATConfig, sets: Mapping[str, Records]) -> Iterator[InputError]:
    """A metric whose name is almost that of another one, or of another set."""
    wanted = args.metric_for_best_model
    if wanted is None or not sets:
        return
    rest = wanted.removeprefix("eval/").removeprefix("eval_")
    named = [name for name in sets if name]
    own = next((n for n in named if rest.startswith((f"{n}/", f"{n}_"))), None)
    if named and own is None:
        why = f"there are several held-out sets: {', '.join(named)}"
        fix = f"name one of them, e.g. eval/{named[0]}/reward"
        yield RecipeError(f"metric_for_best_model={wanted!r}", why, fix)
        return
    metric = rest[len(own) + 1 :] if own else rest
    like = difflib.get_close_matches(metric, MEASURED, n=1, cutoff=MISSPELT)
    if like and metric not in MEASURED and not metric.startswith(f"{like[0]}/"):
        why = "the evaluation measures nothing so called"
        fix = f"did you mean 'eval/{own + '/' if own else ''}{like[0]}'?"
        yield RecipeError(f"metric_for_best_model={wanted!r}", why, fix)


def _early_stopping(args: NEATConfig, callbacks: Sequence[Any]) -> Iterator[InputError]:
    from transformers import EarlyStoppingCallback

    kinds = [c if isinstance(c, type) else type(c) for c in callbacks]
    if not any(issubclass(kind, EarlyStoppingCallback) for kind in kinds):
        return
    if args.metric_for_best_model is None or args.eval_strategy == "no":
        why = "it stops when a metric of the evaluation gets no better, and none is watched"
        fix = "set metric_for_best_model='eval/reward' and eval_strategy='steps'"
        yield RecipeError("EarlyStoppingCallback", why, fix)
