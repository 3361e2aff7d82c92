"""What can be known to be wrong with a recipe before any model is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from neat_align.data import DataSpec, read_queries
from neat_align.data.files import read_rows
from neat_align.errors import InputError, RecipeError, SeveralErrors, nearest
from neat_align.evaluation.registry import read_tasks
from neat_align.evaluation.safety import check_checker
from neat_align.evaluation.task_file import TaskFile
from neat_align.models import check_model_source
from neat_align.models.source import is_adapter
from neat_align.prompts.chat.chat_template import saved_template_problems
from neat_align.prompts.prohibition import prohibition_warnings
from neat_align.recipe.data_and_model import Data
from neat_align.recipe.placement import placement_problems
from neat_align.recipe.schema import Evaluate, Recipe
from neat_align.recipe.sources import data_sections
from neat_align.scoring import Need, check_scorer_value, import_problems, unmet_problems
from neat_align.training.measured import metric_problems
from neat_align.training.objective_choice import (
    is_own,
    make_objective,
    objective_problems,
    own_problems,
)
from neat_align.training.settings import context_needs, setting_problems

LOOKED_AT = 1000  # queries whose columns are taken for all there are


def check_recipe(recipe: Recipe) -> list[InputError]:
    """Every problem of a recipe's files, models, steering, objective, rewards and precision.

    Files are opened and their first rows read; hub ids are not fetched.
    """
    errors: list[InputError] = []
    errors += _steering(recipe)
    errors += objective_problems(recipe.objective)
    errors += _combination(recipe)
    errors += _settings(recipe)
    if recipe.model.path:
        errors += check_model_source(recipe.model.path, "policy") or saved_template_problems(
            recipe.model.path, recipe.model.chat_template_kwargs
        )
        errors += _two_adapters(recipe)
    columns = query_columns(recipe.queries)
    for name in recipe.reward.names:
        errors += check_scorer_value(name, columns)
    errors += _evaluation_rewards(recipe)
    errors += _task_problems(recipe)
    for place, data in data_sections(recipe):
        errors += _file(place, data)
    if recipe.compare:
        errors += _file("compare.development.queries", recipe.compare.development.queries)
    errors += _answers(recipe)
    errors += placement_problems(recipe)
    return errors


def recipe_warnings(recipe: Recipe) -> list[str]:
    """List what a recipe that can be run is most likely not meant to say."""
    return [] if _steering(recipe) else prohibition_warnings(recipe.pair)


def _two_adapters(recipe: Recipe) -> Iterator[InputError]:
    """Report a new adapter on a model that is one."""
    if recipe.train.get("lora") is not None and is_adapter(str(recipe.model.path)):
        yield RecipeError(
            f"train.lora with the adapter {recipe.model.path} as the model",
            "it is not clear which adapter to train and which to compare with",
            "leave train.lora out to train on with it, or give a merged model",
        )


def data_spec(data: Data) -> DataSpec:
    """Turn a recipe's data section into what the loaders take."""
    return DataSpec(data.path, data.dataset, data.config, data.split, data.columns, data.limit)


def _steering(recipe: Recipe) -> list[InputError]:
    try:
        _ = recipe.pair
    except InputError as error:
        return [error]
    return []


def _combination(recipe: Recipe) -> Iterator[InputError]:
    context = recipe.train.get("negative_context")
    name = recipe.objective.get("name")
    if name == "neat_pp" and context:
        yield RecipeError(
            f"objective neat_pp with train.negative_context={context}",
            "NEAT-PP is NEAT without negative prompts, in the context too",
            "set train.negative_context=0, or use neat",
        )
    if context is None:
        unknown = is_own(str(name)) or objective_problems(recipe.objective)
    else:
        unknown = setting_problems({"negative_context": context})
    if not unknown and not _steering(recipe):
        yield from context_needs(negative_context(recipe), recipe.pair)


def negative_context(recipe: Recipe) -> float:
    """Return the share of queries that a negative prompt stands before in training.

    It is the objective's suggestion where the recipe names none.
    """
    own = recipe.train.get("negative_context")
    return float(
        make_objective(recipe.objective).suggested_negative_context if own is None else own
    )


def _settings(recipe: Recipe) -> list[InputError]:
    """List what the training would refuse of `train` and of the decoding."""
    problems = [
        _in_train(problem, recipe)
        for problem in setting_problems({**recipe.sample.model_dump(), **recipe.train})
    ]
    problems += _measured_in_training(recipe)
    engine, adapter = recipe.train.get("engine"), recipe.train.get("lora")
    if engine == "adapter-server" and adapter is None:
        why = "only an adapter can be loaded into a running server"
        fix = "train one with train.lora: {}"
        problems.append(RecipeError(f"train.engine: {engine} without train.lora", why, fix))
    return problems


def _measured_in_training(recipe: Recipe) -> Iterator[InputError]:
    """Check the evaluation during training: its queries, its steps, the name of its metric."""
    held_out = recipe.evaluate.during_training if recipe.evaluate else None
    asked = [
        f"train.{name}: {recipe.train[name]}"
        for name in ("eval_strategy", "eval_on_start")
        if recipe.train.get(name) not in (None, False, "no")
    ]
    yield from _watched(recipe)
    if asked and held_out is None:
        why = "there are no queries to evaluate on during training"
        fix = "add evaluate: {during_training: {path: …}}, with queries kept for that"
        yield RecipeError(asked[0], why, fix)
    if held_out is not None and not asked:
        why = "they would not be looked at"
        fix = "set train.eval_strategy=steps and train.eval_steps, or leave them out"
        yield RecipeError("evaluate.during_training", why, fix)
    if held_out is not None:
        yield from metric_problems(recipe.train.get("metric_for_best_model"))


def _watched(recipe: Recipe) -> Iterator[InputError]:
    """Check the reward that is watched during training: that it is there, and another one."""
    section = recipe.evaluate
    if section is None or section.watch == "off":
        return
    given, watched = f"evaluate.watch: {section.watch}", section.heldout_reward
    if watched is None:
        why = "there is no scorer that training never sees"
        yield RecipeError(given, why, "give evaluate.heldout_reward")
    elif watched in recipe.reward.names:
        why = f"training sees {watched!r}, so it cannot part from itself"
        yield RecipeError(given, why, "give another scorer as evaluate.heldout_reward")
    if section.during_training is None:
        fix = "add evaluate: {during_training: {path: …}}, and train.eval_strategy: steps"
        yield RecipeError(given, "there are no queries to look at during training", fix)
    elif isinstance(watched, str):
        yield from check_scorer_value(watched, query_columns(section.during_training))
    if not recipe.sample.plain:
        why = "what the policy answers without a prompt is scored, and no such answer is drawn"
        yield RecipeError(given, why, "set sample.plain to 1 or more")


def _in_train(problem: InputError, recipe: Recipe) -> InputError:
    """Name a problem's place in the recipe, where it is one of the `train` section."""
    name = re.split(r"[^\w]", problem.given, maxsplit=1)[0]
    if name not in recipe.train:
        return problem
    return type(problem)(f"train.{problem.given}", problem.why, problem.fix)


def _evaluation_rewards(recipe: Recipe) -> list[InputError]:
    if recipe.evaluate is None:
        return []
    errors: list[InputError] = []
    if isinstance(recipe.evaluate.heldout_reward, str):
        columns = query_columns(recipe.evaluate.queries)
        errors += check_scorer_value(recipe.evaluate.heldout_reward, columns)
    if recipe.evaluate.rule is not None:
        errors += check_scorer_value(recipe.evaluate.rule, query_columns(recipe.evaluate.queries))
    if recipe.evaluate.checker is not None:
        errors += check_checker(recipe.evaluate.checker)
        errors += _trains_and_reports(recipe)
    return errors


def _trains_and_reports(recipe: Recipe) -> list[InputError]:
    """Refuse a checker that is a reward of the training, too: it would find its own success."""
    checker = recipe.evaluate.checker if recipe.evaluate else None
    if checker not in recipe.reward.names:
        return []
    why = "what training has pleased says nothing about its success"
    fix = "train with a scorer of other rules, such as `refusal`, or report with another checker"
    return [RecipeError(f"evaluate.checker {checker!r}, which is a reward, too", why, fix)]


def _task_problems(recipe: Recipe) -> list[InputError]:
    """Read the files of the benchmarks, which are small, and list what is wrong with them."""
    try:
        read_tasks(task_files(recipe.evaluate) if recipe.evaluate else {})
    except SeveralErrors as several:
        return list(several.errors)
    except InputError as error:
        return [error]
    return []


def task_files(section: Evaluate) -> dict[str, TaskFile]:
    """Turn the benchmarks of a recipe into what the evaluation takes."""
    return {
        name: TaskFile(Path(task.path), task.limit, task.max_new_tokens)
        for name, task in section.tasks.items()
    }


def own_code_problems(recipe: Recipe) -> list[InputError]:
    """Import the recipe's own functions and objective, and list what goes wrong.

    For after the checks, and before any model is loaded.
    """
    section = recipe.evaluate
    named = (section.heldout_reward, section.rule, section.checker) if section else ()
    held_out = [name for name in named if isinstance(name, str)]
    problems = import_problems([*recipe.reward.names, *held_out])
    problems += own_problems(recipe.objective)
    if problems:
        return problems
    here = set(Need) - (set() if recipe.train.get("add_data_responses") else {Need.DATA_ANSWERS})
    return [
        *unmet_problems(recipe.reward.names, here),
        *unmet_problems(held_out, {Need.STEERING}),
    ]


def query_columns(data: Data) -> set[str] | None:
    """Return the columns that a file's queries bring for reward functions; None where unknown."""
    if data.path is None:
        return None
    try:
        queries = islice(read_queries(data_spec(data)), LOOKED_AT)
        return {name for query in queries for name in query.meta}
    except InputError:
        return None  # told elsewhere


def _file(place: str, data: Data) -> list[InputError]:
    if data.path is None:
        return []
    try:
        _, row = next(iter(read_rows(Path(data.path))))
    except InputError as error:
        return [type(error)(f"{place}: {error.given}", error.why, error.fix)]
    return [
        RecipeError(
            f"{place}.columns.{ours}: {theirs!r}",
            f"{data.path} has no such column",
            nearest(theirs, row),
        )
        for ours, theirs in data.columns.items()
        if theirs not in row
    ]


def _answers(recipe: Recipe) -> list[InputError]:
    """Check the data's answers, where groups are to hold them."""
    if not recipe.train.get("add_data_responses") or recipe.queries.dataset:
        return []
    if recipe.queries.world:
        there, where = recipe.queries.world.answers, "the world's queries"
        how = "set queries.world.answers=true"
    else:
        try:
            _, row = next(iter(read_rows(Path(str(recipe.queries.path)))))
        except InputError:
            return []  # told by `_file`
        names = {recipe.queries.columns.get(name, name) for name in ("chosen", "rejected")}
        there, where = bool(names & set(row)), str(recipe.queries.path)
        how = "give a column chosen or rejected, or name them under queries.columns"
    if there:
        return []
    return [
        RecipeError(f"train.add_data_responses with {where}", "there are no answers to add", how)
    ]
