"""`neat evaluate`: models from directories, compared and saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from neat_align.cli.asked import steering_pair
from neat_align.cli.report import evaluation_page
from neat_align.errors import InputError, RecipeError, SteeringError, raise_all
from neat_align.evaluation import Evaluation, EvaluationSettings
from neat_align.evaluation.assembly import Assembly, Place
from neat_align.evaluation.results import PROMPT
from neat_align.evaluation.safety import checker_for
from neat_align.models import AUTO, check_model_source
from neat_align.models import place as placement
from neat_align.prompts.chat.chat_template import KWARGS, saved_template_problems
from neat_align.prompts.steering import STEERING_FILE, Steering, no_steering, saved_steering
from neat_align.provenance import Source, absolute_name, recorded
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import MANIFEST, RunDirectory


def evaluate_paths(
    models: Mapping[str, Path],
    queries: Path,
    steering: str | None,
    settings: EvaluationSettings,
    rewards: Mapping[str, str | None],
    checker: str | None,
    output: Path,
    batch_size: int,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    where: tuple[str, str] = (AUTO, AUTO),
    prompt: bool = True,
) -> Evaluation:
    """Check everything, then evaluate each model; write results and page to `output`.

    Args:
        chat_template_kwargs: arguments of the chat templates; those with which the models
            were aligned, as their runs tell, when None.
        where: device and dtype; see `models.device`.
        prompt: evaluate the base under the pair's positive prompts, too.

    Raises:
        InputError: everything that is wrong with what was given.
    """
    from neat_align.data import DataSpec, load_queries
    from neat_align.scoring import (
        Bound,
        Need,
        bind_scorer,
        check_scorer_value,
        import_problems,
        resolve_scorer,
        unmet_problems,
    )
    from neat_align.workflow.evaluation import save_evaluation
    from neat_align.workflow.trained_queries import seen_in_training

    errors: list[InputError] = []
    arguments = chat_template_kwargs
    if arguments is None:
        arguments, errors = _arguments_of_runs(models)
    for path in models.values():
        errors += check_model_source(path, "policy")
        errors += saved_template_problems(path, arguments)
    named = [name for name in rewards.values() if name]
    for name in named:
        errors += check_scorer_value(name)
    errors += check_scorer_value(checker, reward=False) if checker else []
    pair, problems = _steering(models, steering)
    raise_all([*errors, *problems])
    raise_all(
        import_problems([*named, checker] if checker else named)
        or unmet_problems(named, {Need.STEERING})
    )
    assert pair is not None
    found = load_queries(DataSpec(queries))
    judge = checker_for(found, checker)
    Console(soft_wrap=True, highlight=False).print(str(placement(*where)))
    place = Place(*where, batch_size, arguments)
    bound = Bound(steering=pair, data_answers=False)
    named_scorers = {
        key: bind_scorer(resolve_scorer(name, device=place.device, dtype=place.dtype), bound)
        for key, name in rewards.items()
        if name
    }
    prompts = pair.positive if prompt and PROMPT not in models else ()
    evaluation = Assembly(
        models, found, pair, settings, named_scorers, judge, place=place, prompts=prompts
    ).evaluate()
    evaluation.about["seen_in_training"] = seen_in_training(models, found)
    evaluation.about["sources"] = recorded(_sources(models, queries, steering, rewards, checker))
    evaluation.about["asked"] = {
        "models": {name: str(path) for name, path in models.items()},
        "queries": str(queries),
        "rewards": {key: name for key, name in rewards.items() if name},
        "checker": checker,
    }
    save_evaluation(RunDirectory(output), evaluation)
    pair.save(output)
    evaluation_page(output)
    return evaluation


def _sources(
    models: Mapping[str, Path],
    queries: Path,
    steering: str | None,
    rewards: Mapping[str, str | None],
    checker: str | None,
) -> dict[str, Source]:
    """What an evaluation is made from, so that it can be told later what has changed."""
    scorers = {**{f"rewards.{key}": name for key, name in rewards.items()}, "checker": checker}
    return {
        **{f"models.{k}": Source("model", absolute_name(str(path))) for k, path in models.items()},
        "queries": Source("data", str(queries.absolute())),
        **({"steering": Source("steering", absolute_name(steering))} if steering else {}),
        **{key: Source("scorer", absolute_name(name)) for key, name in scorers.items() if name},
    }


def _steering(
    models: Mapping[str, Path], given: str | None
) -> tuple[Steering | None, list[InputError]]:
    if given is not None:
        return steering_pair(given, None)
    try:
        return steering_of_models(models), []
    except InputError as error:
        return None, [error]


def steering_of_models(models: Mapping[str, Path]) -> Steering:
    """The pair that the models were aligned with, as their directories tell it.

    Raises:
        RecipeError: none of them tells.
        SteeringError: they were aligned with different ones.
    """
    known = {name: pair for name, path in models.items() if (pair := _aligned_with(path))}
    if not known:
        raise no_steering(f"an evaluation of {', '.join(models)}", "--steering")
    first, *others = known.values()
    if any(pair != first for pair in others):
        raise SteeringError(
            "models aligned with different steering: "
            + ", ".join(f"{name} ({pair.name})" for name, pair in known.items()),
            "one pair is put to all of them",
            "give the one to evaluate with: --steering",
        )
    return first


def _arguments_of_runs(
    models: Mapping[str, Path],
) -> tuple[Mapping[str, Any], list[InputError]]:
    """The chat template's arguments with which the models were aligned; or that they differ."""
    known = {name: found for name, path in models.items() if (found := _run_arguments(path))}
    if not known:
        return {}, []
    first, *others = known.values()
    if all(found == first for found in others):
        return first, []
    given = ", ".join(f"{name} ({json.dumps(found)})" for name, found in known.items())
    why = "one set of arguments is given to all of them"
    fix = "give the one to evaluate with: --chat-template-kwargs"
    return {}, [RecipeError(f"models aligned with different {KWARGS}: {given}", why, fix)]


def _run_arguments(path: Path) -> dict[str, Any]:
    """What the run that a policy lies in gave to the chat template."""
    if not (path.parent / MANIFEST).is_file():
        return {}
    model = read_json(path.parent / MANIFEST).get("recipe", {}).get("model")
    return dict(model.get(KWARGS) or {}) if isinstance(model, dict) else {}


def _aligned_with(path: Path) -> Steering | None:
    """What lies beside a policy's weights, or else in the run that it belongs to."""
    if (path / STEERING_FILE).is_file():
        return saved_steering(path)
    manifest = path.parent / MANIFEST
    if not manifest.is_file():
        return None
    sources = RunDirectory(path.parent).manifest()["sources"].values()
    return next((Steering(**source["pair"]) for source in sources if "pair" in source), None)
