"""`neat evaluate`: models from directories, compared and saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neat_align.errors import InputError, raise_all
from neat_align.evaluation import EvaluationSettings, evaluate, resolve_checker
from neat_align.evaluation.safety import check_kinds
from neat_align.runs import RunDirectory


def evaluate_paths(
    models: Mapping[str, Path],
    queries: Path,
    steering: str,
    settings: EvaluationSettings,
    rewards: Mapping[str, str | None],
    checker: str | None,
    output: Path,
    batch_size: int,
) -> None:
    """Check everything, then evaluate each model and write the results to `output`.

    Raises:
        InputError: everything that is wrong with what was given.
    """
    from neat_align.data import DataSpec, load_queries
    from neat_align.modeling import check_model_source
    from neat_align.scoring import check_scorer_value, import_problems, resolve_scorer
    from neat_align.steering import Steering

    errors: list[InputError] = []
    for path in models.values():
        errors += check_model_source(path)
    named = [name for name in rewards.values() if name]
    for name in named:
        errors += check_scorer_value(name)
    errors += check_scorer_value(checker, reward=False) if checker else []
    raise_all(errors)
    raise_all(import_problems([*named, checker] if checker else named))
    found, pair = load_queries(DataSpec(queries)), Steering.from_value(steering)
    judge = resolve_checker(checker)
    if judge is not None:
        raise_all(check_kinds(found))

    from neat_align.pipeline import loaded_models, save_evaluation

    scorers = {key: resolve_scorer(name) for key, name in rewards.items() if name}
    evaluation = evaluate(
        loaded_models(models, batch_size, settings.seed), found, pair, settings, scorers, judge
    )
    save_evaluation(RunDirectory(output), evaluation)
