"""Find what a training or its evaluation lacks, before anything is sampled or loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neat_align.errors import DataError, InputError, RecipeError
from neat_align.objectives import Objective
from neat_align.prompts.steering import Steering, no_steering
from neat_align.sampling.plan import GroupPlan
from neat_align.training.config import NEATConfig
from neat_align.training.measured import metric_problems
from neat_align.training.objective_choice import parameter_problems
from neat_align.training.records import Records, sets_of
from neat_align.training.reward_watch import watch_problems
from neat_align.training.settings import context_needs
from neat_align.training.signal import stored_problems
from neat_align.types import Group, Query, Source


def training_needs(
    objective: Objective,
    args: NEATConfig,
    negative_context: float,
    steering: Steering | None,
    dataset: Sequence[Any],
    has_rewards: bool,
) -> list[InputError]:
    """Find what a training lacks: data, steering, rewards, or what its objective needs.

    Args:
        dataset: queries, which are sampled online, or stored groups.
    """
    if not dataset:
        fix = "give queries or groups"
        return [RecipeError("no training data", "there is nothing to train on", fix)]
    online = isinstance(dataset[0], Query)
    problems = parameter_problems(type(objective), vars(objective))
    problems += batch_problems(args, len(dataset))
    if objective.name == "neat_pp" and negative_context:
        problems.append(
            RecipeError(
                f"objective neat_pp with negative_context={negative_context}",
                "NEAT-PP is NEAT without negative prompts, in the context too",
                "set negative_context=0, or use NEAT",
            )
        )
    if steering is None and (online or negative_context):
        problems.append(
            no_steering(
                "sampling online" if online else f"negative_context={negative_context}",
                "steering=…",
            )
        )
    problems += context_needs(negative_context, steering)
    if not online and args.log_completions:
        why = "stored groups are trained on, and nothing is sampled or scored"
        problems.append(RecipeError("log_completions=True", why, "leave it out"))
    if not online:
        problems += border_needs(objective, vars(args), 0, online=False)
        return problems + stored_needs(objective, dataset, args.good_above)
    if not has_rewards and not args.plausibility:
        problems.append(
            RecipeError(
                "no reward_funcs",
                "sampled responses must be scored",
                'give a reward model or a function; "polarity", or plausibility=1.0 in the '
                "config, trains without any",
            )
        )
    problems += border_needs(objective, vars(args), args.steering_try_queries, online=True)
    problems += objective_needs(objective, args.plan)
    problems += args.plan.check_channels(steering)
    return problems + answers_needed(args.add_data_responses, dataset)


def batch_problems(args: NEATConfig, count: int) -> list[InputError]:
    """Refuse data of which no batch is left where incomplete ones are dropped.

    Args:
        count: queries or groups.
    """
    batch = args.per_device_train_batch_size * args.world_size
    if not args.dataloader_drop_last or count >= batch:
        return []
    why = f"a batch takes {batch}, and incomplete ones are dropped: nothing would be trained on"
    fix = "leave dataloader_drop_last out, or lower per_device_train_batch_size"
    return [RecipeError(f"dataloader_drop_last with {count} queries or groups", why, fix)]


def objective_needs(objective: Objective, plan: GroupPlan) -> list[InputError]:
    """Find what a plan of sampling lacks for an objective."""
    return _problems(
        objective,
        {source for source, count in (*plan.counts.items(), (Source.PLAIN, plan.plain)) if count},
        plan.size,
        f"{plan.positive} positive, {plan.negative} negative, {plan.plain} plain samples",
    )


def border_needs(
    objective: Objective, settings: Mapping[str, Any], tried: int, online: bool
) -> list[InputError]:
    """Refuse to ask which answers are good where nothing will tell, or nothing is drawn.

    Args:
        settings: good_above and those that ask by it; what is not there has its default.
        tried: queries that the steering is tried on before the first step.
        online: whether queries are sampled, or groups are stored.
    """
    border = settings.get("good_above")
    drawing = {n: v for n in ("resample_groups", "drop_unsplit") if (v := settings.get(n))}
    dispute = settings.get("max_dispute")
    asked = [f"objective {objective.name!r}"] if objective.needs_border else []
    found: list[InputError] = []
    if online:
        asked += [f"{name}={value}" for name, value in drawing.items()]
    elif drawing or dispute is not None:
        drawing |= {"max_dispute": dispute} if dispute is not None else {}
        given = " and ".join(f"{name}={value}" for name, value in drawing.items())
        why = "they are trained on as they are: none is drawn again, and none left out"
        fix = "leave it out; `neat score --min-gap` leaves groups out"
        found.append(RecipeError(f"{given} with stored groups", why, fix))
    if not online and border is not None and not asked:
        why = f"objective {objective.name!r} does not ask which answers are good"
        found.append(RecipeError(f"good_above={border} with stored groups", why, "leave it out"))
    if asked and border is None and (not tried or settings.get("eval_on_start")):
        when = "is evaluated before it is tried" if tried else "is not tried"
        found.append(
            RecipeError(
                f"{' and '.join(asked)} without good_above",
                f"it asks which answers are good; nothing says so, since the steering {when}",
                "set good_above, the score above which an answer is good (for NEAT's gate "
                "lm_threshold will do), or have the steering tried: steering.try_queries, in "
                "Python steering_try_queries",
            )
        )
    return found


def stored_needs(
    objective: Objective, groups: Sequence[Group], border: float | None = None
) -> list[InputError]:
    """Find what stored groups lack: responses to act on, or scores that tell anything.

    Args:
        border: the score above which a response is good, where that is known by now.
    """
    unscored = next((g for g in groups if not g.is_scored), None)
    if unscored is not None:
        given = f"an unscored group (query {unscored.query.id})"
        return [DataError(given, "training needs a score for every response", "run `neat score`")]
    sources = {r.source for g in groups for r in g.responses}
    size = max(len(g.responses) for g in groups)
    problems = _problems(objective, sources, size, f"{len(groups)} stored groups")
    unknown = objective.needs_border and border is None
    return problems if problems or unknown else stored_problems(objective, groups, border)


def answers_needed(wanted: bool, queries: Sequence[Query]) -> list[InputError]:
    """Refuse to add the data's answers where no query has one."""
    if not wanted or any(q.meta.get("chosen") or q.meta.get("rejected") for q in queries):
        return []
    return [
        RecipeError(
            f"add_data_responses with {len(queries)} queries",
            "none of them has a chosen or rejected answer to add",
            "give rows with these columns, or leave the option out",
        )
    ]


def _problems(
    objective: Objective, sources: set[Source], size: int, given: str
) -> list[InputError]:
    errors: list[InputError] = []
    if objective.needs_negatives and Source.NEGATIVE not in sources:
        errors.append(
            RecipeError(
                f"objective {objective.name!r} with {given}",
                "it acts on responses sampled under a negative prompt, and there are none",
                "sample negative: 1 or more per query",
            )
        )
    if objective.needs_plain and Source.PLAIN not in sources:
        errors.append(
            RecipeError(
                f"objective {objective.name!r} with {given}",
                "it compares with responses sampled without a prompt, and there are none",
                "sample plain: 1 or more per query, or choose another lm_gate",
            )
        )
    if size < objective.min_responses:
        errors.append(
            RecipeError(
                f"objective {objective.name!r} with {given}",
                f"it needs {objective.min_responses} responses per group, and gets {size}",
                "sample more responses per query",
            )
        )
    return errors


def evaluation_needs(
    objective: Objective,
    args: NEATConfig,
    steering: Steering | None,
    held_out: Records | Mapping[str, Records] | None,
    has_rewards: bool,
    callbacks: Sequence[Any],
) -> list[InputError]:
    """Find what an evaluation lacks: data, steering, rewards, or a metric there may be."""
    sets = sets_of(held_out)
    problems = [*_without_data(args, sets), *_early_stopping(args, callbacks)]
    if sets:
        problems += metric_problems(args.metric_for_best_model, [name for name in sets if name])
    problems += watch_problems(callbacks, sets, args.plan)
    sampled = any(records.are_queries for records in sets.values())
    if sampled and steering is None:
        problems.append(no_steering("evaluating on held-out queries", "steering=…"))
    if sampled and not has_rewards and not args.plausibility:
        why = "the answers to held-out queries must be scored"
        fix = "give reward_funcs, or stored, scored groups as eval_dataset"
        problems.append(RecipeError("eval_dataset without reward_funcs", why, fix))
    for records in sets.values():
        if not records.are_queries:
            problems += stored_needs(objective, records, args.good_above)
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
