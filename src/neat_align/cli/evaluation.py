"""`neat evaluate`: models from directories, compared and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from neat_align.cli.asked import steering_pair
from neat_align.cli.report import KIND, evaluation_page
from neat_align.cli.warnings import warn
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.evaluation import Evaluation, EvaluationSettings
from neat_align.evaluation.assembly import Assembly, Place
from neat_align.evaluation.kept import Kept
from neat_align.evaluation.registry import read_tasks
from neat_align.evaluation.results import BASE, PROMPT
from neat_align.evaluation.safety import check_checker, checker_for
from neat_align.evaluation.task import Task
from neat_align.evaluation.task_file import texts_of
from neat_align.models import check_model_source
from neat_align.models import place as placement
from neat_align.prompts.chat.chat_template import saved_template_problems
from neat_align.prompts.steering import Steering
from neat_align.provenance import Source, absolute_name, recorded
from neat_align.storage.runs import RunDirectory
from neat_align.types import Query
from neat_align.workflow.aligned_with import arguments_of_runs, known_pair
from neat_align.workflow.asked_benchmarks import Benchmarks, Chosen, chosen

CONSOLE = Console(soft_wrap=True, highlight=False)


@dataclass(frozen=True)
class Asked:
    """What `neat evaluate` was given by name.

    Attributes:
        models: directories by name.
        queries: a data file; may be None where there are benchmarks.
        steering: a pair's name or file; that of the models when None.
        rewards: scorers, "train", "heldout" and "rule".
        checker: a function by name.
        benchmarks: by file, by name or by suite.
        prompt: evaluate the base under the pair's positive prompts, too.
    """

    models: Mapping[str, Path]
    queries: Path | None
    steering: str | None
    rewards: Mapping[str, str | None]
    checker: str | None = None
    benchmarks: Benchmarks = field(default_factory=Benchmarks)
    prompt: bool = True

    @property
    def named_rewards(self) -> dict[str, str]:
        return {key: name for key, name in self.rewards.items() if name}

    def to_json(self) -> dict[str, Any]:
        return {
            "models": {name: str(path) for name, path in self.models.items()},
            **({"queries": str(self.queries)} if self.queries else {}),
            "rewards": self.named_rewards,
            "checker": self.checker,
            **self.benchmarks.to_json(),
        }

    def sources(self) -> dict[str, Source]:
        """Name what the evaluation is made from, but for its benchmarks."""
        scorers = {f"rewards.{key}": name for key, name in self.named_rewards.items()}
        if self.checker:
            scorers["checker"] = self.checker
        found = {"queries": Source("data", str(self.queries.absolute()))} if self.queries else {}
        for name, path in self.models.items():
            found[f"models.{name}"] = Source("model", absolute_name(str(path)))
        if self.steering:
            found["steering"] = Source("steering", absolute_name(self.steering))
        return found | {k: Source("scorer", absolute_name(v)) for k, v in scorers.items()}


@dataclass(frozen=True)
class Ready:
    """What an evaluation is made of, checked and read, before a model is loaded.

    Attributes:
        pair: None where only benchmarks are asked, and no model was aligned with any.
        queries: held out; none where only benchmarks are asked.
        tasks: benchmarks, with their queries.
        benchmarks: how they were found.
        seen: how many of the queries models were trained on.
    """

    pair: Steering | None
    queries: list[Query]
    tasks: list[Task]
    benchmarks: Chosen
    seen: dict[str, int | None]


def evaluate_asked(
    asked: Asked,
    settings: EvaluationSettings,
    output: Path,
    place: Place,
    resume: bool = False,
) -> Evaluation:
    """Check everything, then evaluate each model; write results and page to `output`.

    What a benchmark raises is told in the results, under "failed".

    Args:
        place: chat template arguments that are None are those with which the models were
            aligned, as their runs tell.
        resume: go on with the evaluation that `output` holds.

    Raises:
        InputError: everything that is wrong with what was given.
    """
    from neat_align.workflow.evaluation import save_evaluation

    pair, arguments = _checked(asked, place.chat_template_kwargs)
    place = replace(place, chat_template_kwargs=arguments)
    ready = _read(asked, pair, settings.seed)
    sources = recorded(asked.sources() | dict(ready.benchmarks.sources()))
    identity, run = _identity(asked, settings, place), RunDirectory(output)
    run.check(identity, resume, sources)
    kept = Kept(run, BASE in asked.models, partial(CONSOLE.print, markup=False))
    assembly = _assembly(asked, ready, settings, place, kept)
    RunDirectory.open(output, identity, resume, sources)
    with run.held():
        evaluation = assembly.evaluate()
        told = {"seen_in_training": ready.seen, "sources": sources, "asked": asked.to_json()}
        left_out = ready.benchmarks.left_out()
        evaluation.about |= told | ({"left_out": left_out} if left_out else {})
        save_evaluation(run, evaluation)
        if pair is not None:
            pair.save(output)
        evaluation_page(output)
    return evaluation


def _identity(asked: Asked, settings: EvaluationSettings, place: Place) -> dict[str, Any]:
    """Return what makes an evaluation another one; where it runs, and in what batches, does not."""
    given = {key: value for key, value in asked.to_json().items() if key != "data"}
    return {
        "kind": KIND,
        **given,
        "tasks": {text.partition("=")[0]: text for text in asked.benchmarks.tasks},
        "steering": asked.steering,
        "prompt": asked.prompt,
        **asdict(settings),
        "dtype": place.dtype,
        "chat_template_kwargs": dict(place.chat_template_kwargs or {}),
    }


def _read(asked: Asked, pair: Steering | None, seed: int) -> Ready:
    """Read queries and benchmarks, of these what no model was trained on."""
    from neat_align.data import DataSpec, load_queries
    from neat_align.workflow.trained_queries import seen_in_training, trained_queries

    trained = trained_queries(asked.models)
    known = texts_of(query for own in trained.values() for query in own or ())
    with TemporaryDirectory() as folder:
        found = chosen(asked.benchmarks, Path(folder))
        tasks = read_tasks(found.files, seed, known, found.problems)
    warn(f"left out: {one.problem().given}, {one.why}" for one in found.looked.missing.values())
    queries = list(load_queries(DataSpec(asked.queries))) if asked.queries else []
    return Ready(pair, queries, tasks, found, seen_in_training(trained, queries))


def _assembly(
    asked: Asked, ready: Ready, settings: EvaluationSettings, place: Place, kept: Kept
) -> Assembly:
    """Fill in an evaluation; scorers are loaded."""
    from neat_align.scoring import Bound, bind_scorer, resolve_scorer

    where, pair = {"device": place.device, "dtype": place.dtype}, ready.pair
    judge = checker_for(ready.queries, asked.checker)
    CONSOLE.print(str(placement(**where)))
    bound = Bound(steering=pair, data_answers=False)
    return Assembly(
        models=asked.models,
        queries=ready.queries,
        steering=pair,
        settings=settings,
        scorers={
            key: bind_scorer(resolve_scorer(name, **where), bound)
            for key, name in asked.named_rewards.items()
        },
        checker=judge,
        place=place,
        prompts=pair.positive if pair and asked.prompt and PROMPT not in asked.models else (),
        tasks=ready.tasks,
        kept=kept,
    )


def _checked(
    asked: Asked, arguments: Mapping[str, Any] | None
) -> tuple[Steering | None, Mapping[str, Any]]:
    """Return the steering pair and the chat template's arguments; raise all that is wrong."""
    from neat_align.scoring import Need, check_scorer_value, import_problems, unmet_problems

    errors = _without_queries(asked)
    if arguments is None:
        arguments, problems = arguments_of_runs(asked.models)
        errors += problems
    for path in asked.models.values():
        errors += check_model_source(path, "policy")
        errors += saved_template_problems(path, arguments)
    named, checker = list(asked.named_rewards.values()), asked.checker
    for name in named:
        errors += check_scorer_value(name)
    errors += check_checker(checker) if checker else []
    pair, problems = _steering(asked)
    raise_all([*errors, *problems])
    raise_all(
        import_problems([*named, checker] if checker else named)
        or unmet_problems(named, {Need.STEERING})
    )
    return pair, arguments


def _without_queries(asked: Asked) -> list[InputError]:
    """List what cannot be done without queries."""
    if asked.queries is not None:
        return []
    if not asked.benchmarks:
        fix = "give --queries, --suite or --task"
        return [RecipeError("no --queries and no benchmark", "there is nothing to ask", fix)]
    names = {"train": "--reward", "heldout": "--heldout-reward", "rule": "--rule"}
    judges = [f"{names[key]} {name}" for key, name in asked.named_rewards.items()]
    judges += [f"--checker {asked.checker}"] if asked.checker else []
    why, fix = "it judges answers to your queries alone", "give --queries, or leave it out"
    return [RecipeError(f"{judge} without --queries", why, fix) for judge in judges]


def _steering(asked: Asked) -> tuple[Steering | None, list[InputError]]:
    """Return the pair; one is needed where queries are asked."""
    if asked.steering is not None:
        return steering_pair(asked.steering, None)
    try:
        return known_pair(asked.models, needed=asked.queries is not None), []
    except InputError as error:
        return None, [error]
