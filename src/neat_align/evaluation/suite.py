"""The evaluation: models one after the other, the three-condition suite and any benchmarks.

The suite needs no torch: a model is what samples, and what tells log-probabilities. Each
response becomes one record; the files of `metrics/` say what the figures count in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from neat_align.errors import DataError, RewardError
from neat_align.evaluation.answers import (
    Answered,
    Evaluated,
    LogProbability,
    records,
    sampled,
    task_samples,
)
from neat_align.evaluation.conditions import asked_under, under_pair
from neat_align.evaluation.distance import DistanceToBase
from neat_align.evaluation.metrics.price import KL, PERPLEXITY
from neat_align.evaluation.observations import differences, figures
from neat_align.evaluation.results import BASE, PLAIN, Evaluation, EvaluationSettings, ModelResult
from neat_align.evaluation.safety import Checker
from neat_align.evaluation.task import Generate, Task
from neat_align.evaluation.tasks.steering import steering_task
from neat_align.prompts.steering import Steering
from neat_align.scoring.base import Scorer
from neat_align.types import Group, Query

__all__ = ["Evaluated", "Evaluation", "EvaluationSettings", "ModelResult", "evaluate"]

SCORERS = ("train", "heldout", "rule")


def evaluate(
    models: Mapping[str, Evaluated] | Iterator[tuple[str, Evaluated]],
    queries: Sequence[Query],
    steering: Steering,
    settings: EvaluationSettings,
    scorers: Mapping[str, Scorer],
    checker: Checker | None = None,
    texts: Sequence[Any] = (),
    base_log_probability: LogProbability | None = None,
    progress: Callable[[str, Evaluation], None] | None = None,
    tasks: Sequence[Task] = (),
) -> Evaluation:
    """Evaluate models one after the other.

    Args:
        models: by name; an iterator of pairs lets the caller load one at a time. The one
            named "base", wherever it stands, is what the others are compared with.
        queries: held out; with a checker each needs `meta["kind"]`. One that is given
            twice is asked once.
        steering: its negative prompts are the seen ones, its held-back the unseen ones.
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

    Raises:
        DataError: no queries.
        RewardError: the checker raised, or gave an unknown verdict; an unknown scorer.
    """
    if not queries:
        raise DataError("no evaluation queries", "there is nothing to measure", "give some")
    _check_scorers(scorers)
    own = {query.id: query for query in queries}
    suite = steering_task(list(own.values()), steering, scorers, checker)
    tasks = [under_pair(task, steering) for task in tasks]
    evaluation = Evaluation(settings, _about(suite, steering, scorers, tasks))
    tasks = [task for task in tasks if task.queries]  # others were trained on, every one
    distance = DistanceToBase(base_log_probability, settings.seed)
    for name, model in models.items() if isinstance(models, Mapping) else models:
        result, plain = _suite_result(suite, model, settings)
        evaluation.models[name] = result
        for known, kl in distance.of(name, model.log_probability, plain):
            evaluation.models[known].figures[KL.name] = kl
        if model.perplexity is not None and texts:
            result.figures[PERPLEXITY.name] = model.perplexity(texts)
        for task in tasks:
            found = result.tasks[task.name] = task_samples(task, name, model, settings)
            result.figures |= figures(found, task.named_metrics, settings.seed)
        _compare(evaluation, suite, tasks)
        if progress:
            progress(name, evaluation)
    return evaluation


def _suite_result(
    suite: Task, model: Evaluated, settings: EvaluationSettings
) -> tuple[ModelResult, list[Group]]:
    """Return the suite's figures and samples, and the plain answers."""
    assert isinstance(suite.answered, Generate)
    answers: dict[str, list[Answered]] = sampled(suite, model, settings)
    samples = list(records(suite.answered, answers))
    found = figures(samples, suite.metrics, settings.seed)
    return ModelResult(found, samples), [group for _, group in answers[PLAIN]]


def _check_scorers(scorers: Mapping[str, Scorer]) -> None:
    unknown = [key for key in scorers if key not in SCORERS]
    if unknown:
        why = "no metric reads its scores"
        fix = f"call scorers {', '.join(SCORERS)}"
        raise RewardError(f"scorers {', '.join(unknown)} of an evaluation", why, fix)


def _about(
    suite: Task, steering: Steering, scorers: Mapping[str, Scorer], tasks: Sequence[Task]
) -> dict[str, Any]:
    return {
        "queries": len(suite.queries),
        "steering": steering.name,
        "scorers": {key: scorer.name for key, scorer in scorers.items()},
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


def _compare(evaluation: Evaluation, suite: Task, tasks: Sequence[Task]) -> None:
    """Tell each model's differences from the base, as soon as the base is there."""
    base = evaluation.models.get(BASE)
    for name, own in evaluation.models.items():
        if base is None or name == BASE or own.differences:
            continue
        seed = evaluation.seed
        own.differences = differences(own.samples, base.samples, suite.metrics, seed)
        for task in tasks:
            two = own.tasks[task.name], base.tasks[task.name]
            own.differences |= differences(*two, task.named_metrics, seed)
