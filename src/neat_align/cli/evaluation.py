"""`neat evaluate`: models from directories, compared and saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from neat_align.cli.asked import steering_pair
from neat_align.cli.report import evaluation_page
from neat_align.cli.tasks import task_files
from neat_align.errors import InputError, RecipeError, SteeringError, raise_all
from neat_align.evaluation import Evaluation, EvaluationSettings
from neat_align.evaluation.assembly import Assembly, Place
from neat_align.evaluation.registry import read_tasks
from neat_align.evaluation.results import PROMPT
from neat_align.evaluation.safety import check_checker, checker_for
from neat_align.evaluation.task_file import texts_of
from neat_align.models import check_model_source
from neat_align.models import place as placement
from neat_align.prompts.chat.chat_template import KWARGS, saved_template_problems
from neat_align.prompts.steering import STEERING_FILE, Steering, no_steering, saved_steering
from neat_align.provenance import Source, absolute_name, recorded
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import MANIFEST, RunDirectory


@dataclass(frozen=True)
class Asked:
    """What `neat evaluate` was given by name.

    Attributes:
        models: directories by name.
        queries: a data file.
        steering: a pair's name or file; that of the models when None.
        rewards: scorers, "train" and "heldout".
        checker: a function by name.
        tasks: benchmarks as NAME=PATH.
        task_limit: queries of each benchmark that are asked at most.
    """

    models: Mapping[str, Path]
    queries: Path
    steering: str | None
    rewards: Mapping[str, str | None]
    checker: str | None = None
    tasks: Sequence[str] = ()
    task_limit: int | None = None

    @property
    def named_rewards(self) -> dict[str, str]:
        return {key: name for key, name in self.rewards.items() if name}

    def to_json(self) -> dict[str, Any]:
        return {
            "models": {name: str(path) for name, path in self.models.items()},
            "queries": str(self.queries),
            "rewards": self.named_rewards,
            "checker": self.checker,
            **({"tasks": list(self.tasks)} if self.tasks else {}),
            **({"task_limit": self.task_limit} if self.task_limit else {}),
        }

    def sources(self) -> dict[str, Source]:
        """Name what the evaluation is made from, so that changes can be told later."""
        files = {"queries": str(self.queries.absolute())}
        for text in self.tasks:
            task, file = text.split("=", 1)
            files[f"tasks.{task}"] = str(Path(file).absolute())
        scorers = {f"rewards.{key}": name for key, name in self.named_rewards.items()}
        if self.checker:
            scorers["checker"] = self.checker
        found = {key: Source("data", path) for key, path in files.items()}
        for name, path in self.models.items():
            found[f"models.{name}"] = Source("model", absolute_name(str(path)))
        if self.steering:
            found["steering"] = Source("steering", absolute_name(self.steering))
        return found | {k: Source("scorer", absolute_name(v)) for k, v in scorers.items()}


def evaluate_asked(
    asked: Asked,
    settings: EvaluationSettings,
    output: Path,
    place: Place,
    prompt: bool = True,
) -> Evaluation:
    """Check everything, then evaluate each model; write results and page to `output`.

    Args:
        place: chat template arguments that are None are those with which the models were
            aligned, as their runs tell.
        prompt: evaluate the base under the pair's positive prompts, too.

    Raises:
        InputError: everything that is wrong with what was given.
    """
    from neat_align.data import DataSpec, load_queries
    from neat_align.scoring import Bound, bind_scorer, resolve_scorer
    from neat_align.workflow.evaluation import save_evaluation
    from neat_align.workflow.trained_queries import seen_in_training, trained_queries

    pair, arguments = _checked(asked, place.chat_template_kwargs)
    place = replace(place, chat_template_kwargs=arguments)
    trained = trained_queries(asked.models)
    known = texts_of(query for own in trained.values() for query in own or ())
    files, problems = task_files(asked.tasks, asked.task_limit)
    tasks = read_tasks(files, settings.seed, known, problems)
    found = load_queries(DataSpec(asked.queries))
    judge = checker_for(found, asked.checker)
    where = {"device": place.device, "dtype": place.dtype}
    Console(soft_wrap=True, highlight=False).print(str(placement(**where)))
    bound = Bound(steering=pair, data_answers=False)
    scorers = {
        key: bind_scorer(resolve_scorer(name, **where), bound)
        for key, name in asked.named_rewards.items()
    }
    evaluation = Assembly(
        models=asked.models,
        queries=found,
        steering=pair,
        settings=settings,
        scorers=scorers,
        checker=judge,
        place=place,
        prompts=pair.positive if prompt and PROMPT not in asked.models else (),
        tasks=tasks,
    ).evaluate()
    evaluation.about["seen_in_training"] = seen_in_training(trained, found)
    evaluation.about["sources"] = recorded(asked.sources())
    evaluation.about["asked"] = asked.to_json()
    save_evaluation(RunDirectory(output), evaluation)
    pair.save(output)
    evaluation_page(output)
    return evaluation


def _checked(
    asked: Asked, arguments: Mapping[str, Any] | None
) -> tuple[Steering, Mapping[str, Any]]:
    """Return the steering pair and the chat template's arguments; raise all that is wrong."""
    from neat_align.scoring import Need, check_scorer_value, import_problems, unmet_problems

    errors: list[InputError] = []
    if arguments is None:
        arguments, errors = _arguments_of_runs(asked.models)
    for path in asked.models.values():
        errors += check_model_source(path, "policy")
        errors += saved_template_problems(path, arguments)
    named, checker = list(asked.named_rewards.values()), asked.checker
    for name in named:
        errors += check_scorer_value(name)
    errors += check_checker(checker) if checker else []
    pair, problems = _steering(asked.models, asked.steering)
    raise_all([*errors, *problems])
    raise_all(
        import_problems([*named, checker] if checker else named)
        or unmet_problems(named, {Need.STEERING})
    )
    assert pair is not None
    return pair, arguments


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
    """Return the pair that the models were aligned with, as their directories tell it.

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
    """Return the chat template's arguments of the models' runs; or that they differ."""
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
    """Read what the run that a policy lies in gave to the chat template."""
    if not (path.parent / MANIFEST).is_file():
        return {}
    model = read_json(path.parent / MANIFEST).get("recipe", {}).get("model")
    return dict(model.get(KWARGS) or {}) if isinstance(model, dict) else {}


def _aligned_with(path: Path) -> Steering | None:
    """Read what lies beside a policy's weights, or else in the run that it belongs to."""
    if (path / STEERING_FILE).is_file():
        return saved_steering(path)
    manifest = path.parent / MANIFEST
    if not manifest.is_file():
        return None
    sources = RunDirectory(path.parent).manifest()["sources"].values()
    return next((Steering(**source["pair"]) for source in sources if "pair" in source), None)
