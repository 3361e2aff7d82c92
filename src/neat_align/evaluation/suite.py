"""The evaluation: models one after the other, the three-condition suite and any benchmarks.

The suite needs no torch: a model is what samples, and what tells log-probabilities. Each
response becomes one record; the files of `metrics/` say what the figures count in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from neat_align.errors import DataError, RewardError
from neat_align.evaluation.answers import Evaluated, LogProbability
from neat_align.evaluation.asking import Asking
from neat_align.evaluation.conditions import asked_under, under_pair
from neat_align.evaluation.distance import DistanceToBase
from neat_align.evaluation.kept import Kept
from neat_align.evaluation.observations import differences
from neat_align.evaluation.results import BASE, Evaluation, EvaluationSettings, ModelResult
from neat_align.evaluation.safety import Checker, checker_name
from neat_align.evaluation.task import Generate, Task
from neat_align.evaluation.tasks.steering import steering_task
from neat_align.prompts.steering import Steering
from neat_align.scoring.base import Scorer
from neat_align.types import Query

__all__ = ["Evaluated", "Evaluation", "EvaluationSettings", "ModelResult", "evaluate"]

SCORERS = ("train", "heldout", "rule")


def evaluate(
    models: Mapping[str, Evaluated] | Iterator[tuple[str, Evaluated]],
    queries: Sequence[Query],
    steering: Steering | None,
    settings: EvaluationSettings,
    scorers: Mapping[str, Scorer],
    checker: Checker | None = None,
    texts: Sequence[Any] = (),
    base_log_probability: LogProbability | None = None,
    progress: Callable[[str, Evaluation], None] | None = None,
    tasks: Sequence[Task] = (),
    kept: Kept | None = None,
) -> Evaluation:
    """Evaluate models one after the other.

    Args:
        models: by name; an iterator of pairs lets the caller load one at a time. The one
            named "base", wherever it stands, is what the others are compared with.
        queries: held out; with a checker each needs `meta["kind"]`. One that is given
            twice is asked once. There may be none where there are benchmarks.
        steering: its negative prompts are the seen ones, its held-back the unseen ones. With
            None, which is for benchmarks alone, these are asked plainly.
        settings: the same for every model.
        scorers: "train", the one training used, "heldout", one it never saw, and "rule",
            which gives 1 where an answer keeps a rule and 0 where it breaks it; any may be
            missing.
        checker: gives verdicts where there is a ground truth.
        texts: for perplexity.
        base_log_probability: of the model that KL is measured against; the one named
            "base" among the models when None.
        progress: called with each model's name and the evaluation so far.
        tasks: benchmarks, with their queries; those of harm are asked under the pair, too.
        kept: what is finished already, and where more is kept. A benchmark that raises is then
            told under "failed", and the others go on; without, it raises.

    Raises:
        DataError: no queries and no benchmark.
        RewardError: the checker raised, or gave an unknown verdict; an unknown scorer.
    """
    if not queries and not tasks:
        raise DataError("no evaluation queries", "there is nothing to measure", "give some")
    _check_scorers(scorers)
    own = list({query.id: query for query in queries}.values())
    suite = steering_task(own, steering, scorers, checker) if own and steering else None
    tasks = [under_pair(task, steering) for task in tasks]
    evaluation = Evaluation(settings, _about(suite, steering, scorers, tasks))
    tasks = [task for task in tasks if task.queries]  # others were trained on, every one
    asking = Asking(evaluation, DistanceToBase(base_log_probability, settings.seed), kept, texts)
    for name, model in models.items() if isinstance(models, Mapping) else models:
        evaluation.models[name] = ModelResult({}, [])
        if suite is not None:
            asking.by_queries(suite, name, model)
        for task in tasks:
            asking.by_benchmark(task, name, model)
        _compare(evaluation, suite, tasks)
        if progress:
            progress(name, evaluation)
    return evaluation


def _check_scorers(scorers: Mapping[str, Scorer]) -> None:
    unknown = [key for key in scorers if key not in SCORERS]
    if unknown:
        why = "no metric reads its scores"
        fix = f"call scorers {', '.join(SCORERS)}"
        raise RewardError(f"scorers {', '.join(unknown)} of an evaluation", why, fix)


def _about(
    suite: Task | None,
    steering: Steering | None,
    scorers: Mapping[str, Scorer],
    tasks: Sequence[Task],
) -> dict[str, Any]:
    asked = suite.answered if suite else None
    checker = checker_name(asked.checker) if isinstance(asked, Generate) else None
    return {
        **({"queries": len(suite.queries)} if suite else {}),
        "steering": steering.name if steering else None,
        "scorers": {key: scorer.name for key, scorer in scorers.items()},
        **({"checker": checker} if checker else {}),
        **({"tasks": {task.name: _told(task) for task in tasks}} if tasks else {}),
    }


def _told(task: Task) -> dict[str, Any]:
    under = asked_under(task)
    return {
        "version": task.version,
        "queries": len(task.queries),
        **task.told,
        "licence": task.licence,
        "citation": task.citation,
        **({"asked_under": under} if under else {}),
    }


def _compare(evaluation: Evaluation, suite: Task | None, tasks: Sequence[Task]) -> None:
    """Tell each model's differences from the base, as soon as the base is there."""
    base, seed = evaluation.models.get(BASE), evaluation.seed
    for name, own in evaluation.models.items():
        if base is None or name == BASE or own.differences:
            continue
        if suite is not None:
            own.differences = differences(own.samples, base.samples, suite.metrics, seed)
        for task in tasks:
            if task.name in own.tasks and task.name in base.tasks:
                two = own.tasks[task.name], base.tasks[task.name]
                own.differences |= differences(*two, task.named_metrics, seed)
