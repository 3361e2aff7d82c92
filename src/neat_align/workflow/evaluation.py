"""The evaluation that a recipe asks for, and what it leaves in a run's directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from neat_align.evaluation import Evaluation, EvaluationSettings
from neat_align.evaluation.assembly import Assembly, Place, outside_scorers
from neat_align.evaluation.metrics.rule import RULE
from neat_align.evaluation.registry import read_tasks
from neat_align.evaluation.results import PARTED
from neat_align.evaluation.safety import checker_for
from neat_align.evaluation.task_file import texts_of
from neat_align.recipe.check import task_files
from neat_align.recipe.schema import Evaluate
from neat_align.report.card import figure_lines
from neat_align.storage.atomic import atomic_write_json, atomic_write_text, read_json
from neat_align.storage.runs import RunDirectory
from neat_align.workflow import inputs
from neat_align.workflow.inputs import HELD_OUT
from neat_align.workflow.places import Places
from neat_align.workflow.recipe_settings import evaluated_decoding


def assembly(
    places: Places,
    section: Evaluate,
    models: Mapping[str, Path],
    prompts: Sequence[str] = (),
    against: Path | None = None,
) -> Assembly:
    """Fill in an evaluation from a recipe.

    Args:
        models: directories by name.
        prompts: positive prompts; if there are any, the base is also evaluated under them.
        against: the model that KL is measured against, if it is not among `models`.

    Raises:
        DataError: an evaluation query is a training query too.
    """
    recipe, seed = places.recipe, places.recipe.seed
    model, rewards = recipe.model, places.rewards
    held_out = inputs.queries(section.queries, seed)
    trained = inputs.queries(recipe.queries, seed)
    inputs.refuse_trained_queries(held_out, trained)
    checker = checker_for(held_out, section.checker)
    place = Place(recipe.device, model.dtype, section.batch_size, model.chat_template_kwargs)
    perplexity = section.perplexity
    return Assembly(
        models=models,
        queries=held_out,
        steering=recipe.pair,
        settings=EvaluationSettings(
            evaluated_decoding(recipe, section), seed, section.samples_per_query
        ),
        scorers=outside_scorers(
            rewards,
            recipe.reward.weights,
            recipe.reward.combination,
            {"heldout": places.heldout_reward, RULE: section.rule},
            place,
            recipe.pair,
        ),
        checker=checker,
        texts=inputs.documents(perplexity, seed + HELD_OUT) if perplexity else (),
        place=place,
        prompts=prompts,
        against=against,
        tasks=read_tasks(task_files(section), seed, texts_of(trained)),
    )


def save_evaluation(run: RunDirectory, evaluation: Evaluation) -> None:
    """Write evaluation.json with intervals, samples/, and the flat results.json."""
    parted = run.stages().get("train", {}).get(PARTED)
    evaluation.about |= {PARTED: parted} if parted else {}
    evaluation.save(run.directory)
    seconds = sum(stage.get("seconds", 0.0) for stage in run.stages().values())
    atomic_write_json(run.path("results.json"), evaluation.results(seconds))


def complete_card(run: RunDirectory, name: str, path: Path) -> None:
    """Put a model's figures on its card, where it is one that this run has aligned."""
    from neat_align.training.model_card import with_figures

    card = path / "README.md"
    if name == "base" or not path.is_relative_to(run.directory) or not card.exists():
        return
    lines = figure_lines(read_json(run.path("evaluation.json")), name)
    atomic_write_text(card, with_figures(card.read_text(encoding="utf-8"), lines))
    run.rewritten(str(card.relative_to(run.directory)))
