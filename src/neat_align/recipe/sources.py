"""What a recipe names and does not hold itself: each of it belongs to the run by content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neat_align.provenance import Source, contents
from neat_align.recipe.data_and_model import Data
from neat_align.recipe.reward import RewardTraining
from neat_align.recipe.schema import Recipe, steering_texts
from neat_align.scoring import named_scorers
from neat_align.storage.identity import without_places
from neat_align.training.objective_choice import is_own

CONFIG_FILES = ("deepspeed", "fsdp_config", "accelerator_config")  # of `train`: mapping or file


def recipe_sources(recipe: Recipe) -> dict[str, Source]:
    """Return sources by the dotted key of the recipe that names them, without `compare`."""
    return dict(_sources(recipe))


def data_sections(recipe: Recipe) -> Iterator[tuple[str, Data]]:
    """List the sections that say where rows come from, with their dotted keys."""
    yield "queries", recipe.queries
    if recipe.model.from_scratch:
        yield "model.from_scratch.data", recipe.model.from_scratch.data
    if recipe.reward.train:
        yield "reward.train.data", recipe.reward.train.data
    if recipe.evaluate:
        yield "evaluate.queries", recipe.evaluate.queries
        if isinstance(recipe.evaluate.heldout_reward, RewardTraining):
            yield "evaluate.heldout_reward.data", recipe.evaluate.heldout_reward.data
        if recipe.evaluate.perplexity:
            yield "evaluate.perplexity", recipe.evaluate.perplexity
        if recipe.evaluate.during_training:
            yield "evaluate.during_training", recipe.evaluate.during_training


def content_of(settings: Mapping[str, Any], sources: Mapping[str, Source], part: str = "") -> Any:
    """Return a recipe's settings by content: equal wherever the same is done with the same.

    Args:
        settings: of a recipe, dumped.
        part: dotted key of a section; all of the recipe when "".
    """
    inside = {p: s for p, s in sources.items() if not part or p.startswith(f"{part}.")}
    kept = without_places(settings, sources)
    for key in part.split(".") if part else ():
        kept = kept.get(key) or {}
    return {"settings": kept, "content": contents(inside)}


def _sources(recipe: Recipe) -> Iterator[tuple[str, Source]]:
    pair = steering_texts(recipe.steering)
    if isinstance(pair, Mapping) and set(pair) == {"name"}:
        pair = pair["name"]
    yield "steering", Source("steering", pair)
    for place, data in data_sections(recipe):
        if data.path is not None:
            yield f"{place}.path", Source("data", data.path)
        elif data.dataset is not None:
            yield f"{place}.dataset", Source("dataset", data.dataset)
    for name, task in (recipe.evaluate.tasks if recipe.evaluate else {}).items():
        key = f"evaluate.tasks.{name}"
        yield key if task.is_whole else f"{key}.path", Source("data", task.path)
    if recipe.model.path:
        yield "model.path", Source("model", recipe.model.path)
    if is_own(name := str(recipe.objective.get("name", ""))):
        yield "objective.name", Source("scorer", name)
    yield from _scorers(recipe)
    for key in CONFIG_FILES:
        if isinstance(recipe.train.get(key), str):
            yield f"train.{key}", Source("file", recipe.train[key])


def _scorers(recipe: Recipe) -> Iterator[tuple[str, Source]]:
    reward, evaluate = recipe.reward, recipe.evaluate
    if reward.model:
        yield "reward.model", Source("scorer", reward.model)
    for number, name in enumerate(reward.functions):
        yield f"reward.functions[{number}]", Source("scorer", name)
    for name in named_scorers():
        argument = getattr(reward, name, None)
        if isinstance(argument, str):
            yield f"reward.{name}", Source("scorer", f"{name}={argument}")
    if evaluate and isinstance(evaluate.heldout_reward, str):
        yield "evaluate.heldout_reward", Source("scorer", evaluate.heldout_reward)
    if evaluate and evaluate.rule:
        yield "evaluate.rule", Source("scorer", evaluate.rule)
    if evaluate and evaluate.checker:
        yield "evaluate.checker", Source("scorer", evaluate.checker)
