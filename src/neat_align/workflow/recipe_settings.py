"""What a recipe says, as the settings and objects that the stages take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from neat_align.errors import InputError, SeveralErrors
from neat_align.recipe import Recipe
from neat_align.recipe.check import negative_context
from neat_align.recipe.schema import Evaluate
from neat_align.sampling.base import Decoding
from neat_align.training.objective_choice import DEFAULT, make_objective
from neat_align.types import Group

Trial = Literal["stops", "warns", "off"]
"""A steering pair that does not steer stops the training, only warns, or is not tried."""


def training_arguments(recipe: Recipe, output_dir: Path, trial: Trial = "stops") -> Any:
    """Make a `NEATConfig` of the recipe's `train`, `sample` and `reward`."""
    from neat_align.training.config import NEATConfig
    from neat_align.training.precision import on_one_device

    sample, found = recipe.sample, precision(recipe)
    given = {key: value for key, value in recipe.train.items() if key != "lora"}
    args = NEATConfig(
        output_dir=str(output_dir),
        seed=recipe.seed,
        positive_samples=sample.positive,
        negative_samples=sample.negative,
        plain_samples=sample.plain,
        positive_channels=list(sample.positive_channels),
        negative_channels=list(sample.negative_channels),
        sampling_batch_size=sample.batch_size,
        plausibility=recipe.reward.plausibility,
        **combining(recipe),
        steering_try_queries=0 if trial == "off" else recipe.try_queries,
        steering_force=trial == "warns",
        chat_template_kwargs=recipe.model.chat_template_kwargs or None,
        **asdict(decoding(recipe)),
        **{**given, **found.flags},
    )
    on_one_device(args, found.device)
    return args


def combining(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of how the recipe's rewards become one score."""
    reward = recipe.reward
    return {
        "reward_combine": reward.combine,
        "reward_deviations": reward.deviations,
        "reward_centres": list(reward.centres),
        "reward_spreads": list(reward.spreads),
        "max_dispute": reward.max_dispute,
    }


def refused_settings(recipe: Recipe) -> list[InputError]:
    """Return what the real settings say against being made; no model is loaded for it."""
    try:
        training_arguments(recipe, Path("unused"))
    except SeveralErrors as several:
        return list(several.errors)
    except InputError as error:
        return [error]
    return []


def decoding(recipe: Recipe) -> Decoding:
    """Return the decoding of the recipe's training."""
    return Decoding(**recipe.sample.model_dump(include=set(Decoding.__dataclass_fields__)))


def evaluated_decoding(recipe: Recipe, section: Evaluate) -> Decoding:
    """Return the decoding of the evaluation: the training's, but for a length of its own."""
    own = decoding(recipe)
    return replace(own, max_new_tokens=section.max_new_tokens or own.max_new_tokens)


def precision(recipe: Recipe) -> Any:
    """Tell where the recipe's models are trained, and how exactly; see `training.precision`."""
    from neat_align.training.precision import Precision

    flags = {name: recipe.train.get(name) for name in ("bf16", "fp16")}
    return Precision.of(recipe.model.dtype, recipe.device, **flags)


def where(recipe: Recipe) -> str:
    """Tell the device and the precision of the recipe's sampling, scores and training."""
    from neat_align.models import place

    told = f"{place(recipe.device, recipe.model.dtype)}"
    trained = precision(recipe)
    return told if trained.autocast == "float32" else f"{told}; {trained.how}"


def policy_name(recipe: Recipe) -> str:
    """Name the aligned model in tables: by its objective, or the class of one's own."""
    return str(recipe.objective.get("name", DEFAULT)).rpartition(":")[2]


def objective(recipe: Recipe) -> Any:
    """Make the recipe's objective."""
    return make_objective(recipe.objective)


def needs(recipe: Recipe, trial: Trial = "stops") -> list[InputError]:
    """Return what the recipe's sampling and its steering pair lack for its objective."""
    from neat_align.training.requirements import border_needs, objective_needs
    from neat_align.training.settings import context_needs
    from neat_align.workflow.inputs import channel_problems, plan

    own = objective(recipe)
    found = [*context_needs(negative_context(recipe), recipe.pair), *channel_problems(recipe)]
    tried = 0 if trial == "off" else recipe.try_queries
    found = found or objective_needs(own, plan(recipe))
    return [*found, *border_needs(own, recipe.train, tried, online=True)]


def stored_needs(recipe: Recipe, groups: Sequence[Group]) -> list[InputError]:
    """Return what stored groups lack for the recipe's objective."""
    from neat_align.training.requirements import border_needs
    from neat_align.training.requirements import stored_needs as lacking

    made = objective(recipe)
    settings = {**recipe.train, "max_dispute": recipe.reward.max_dispute}
    problems = border_needs(made, settings, 0, online=False)
    return problems + lacking(made, groups, settings.get("good_above"))


def training_scorers(recipe: Recipe, rewards: Sequence[str]) -> list[Any]:
    """Make the named scorers, their models where the policy is; the trainer binds them."""
    from neat_align.scoring import resolve_scorer

    device, dtype = precision(recipe).device, recipe.model.dtype
    return [resolve_scorer(name, device=device, dtype=dtype) for name in rewards]
