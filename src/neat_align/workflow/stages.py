"""The verbs of a run: train what alignment starts from, evaluate, report; see also `alignment`.

`pipeline` puts them in order for one recipe, `study` for a grid of them. None of them knows
what came before: each is given where its inputs and its output lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neat_align.evaluation import Evaluation
from neat_align.evaluation.results import BASE, PROMPT
from neat_align.recipe import Recipe, RewardTraining
from neat_align.recipe.data_and_model import FromScratch
from neat_align.recipe.schema import Evaluate
from neat_align.report import build_report, saved_data
from neat_align.storage.runs import RunDirectory
from neat_align.workflow import inputs
from neat_align.workflow.evaluation import assembly, complete_card, save_evaluation
from neat_align.workflow.inputs import HELD_OUT
from neat_align.workflow.places import Places, Role, heldout_training
from neat_align.workflow.recipe_settings import policy_name, precision


@dataclass(frozen=True)
class ModelTraining:
    """A model that a recipe trains before alignment: its role, and what trains it."""

    role: Role
    train: Callable[[Places], Mapping[str, Any]]


def model_trainings(recipe: Recipe) -> list[ModelTraining]:
    """List what the recipe trains for itself, in the order in which it can be trained."""
    found = []
    if scratch := recipe.model.from_scratch:
        found.append(ModelTraining("model", partial(train_model, section=scratch)))
    if reward := recipe.reward.train:
        train = partial(train_reward, role="reward", section=reward, seed=recipe.seed)
        found.append(ModelTraining("reward", train))
    if heldout := heldout_training(recipe):
        seed = recipe.seed + HELD_OUT
        train = partial(train_reward, role="heldout", section=heldout, seed=seed)
        found.append(ModelTraining("heldout", train))
    return found


def train_model(places: Places, section: FromScratch) -> Mapping[str, Any]:
    """Train a small model from scratch on the recipe's text."""
    from neat_align.pretraining.language_model import LanguageModelSettings, train_language_model

    recipe = places.recipe
    texts = inputs.documents(section.data, recipe.seed)
    settings = LanguageModelSettings(**section.model_dump(exclude={"data"}), seed=recipe.seed)
    train_language_model(texts, places.trained["model"], settings, precision(recipe))
    return {"documents": len(texts)}


def train_reward(
    places: Places, role: Role, section: RewardTraining, seed: int
) -> Mapping[str, Any]:
    """Train a reward model on the section's preferences, from the starting model's weights."""
    from neat_align.pretraining.reward_model import RewardModelSettings, train_reward_model

    pairs = inputs.preferences(section.data, seed)
    settings = RewardModelSettings(**section.model_dump(exclude={"data"}), seed=seed)
    where = precision(places.recipe)
    found = train_reward_model(places.base, pairs.rows, places.trained[role], settings, where)
    return {"dropped": pairs.dropped, **asdict(found)}


def evaluate(
    places: Places,
    section: Evaluate,
    run: RunDirectory,
    paths: Mapping[str, Path] | None = None,
    progress: Callable[[str, Evaluation], None] | None = None,
) -> Mapping[str, Any]:
    """Evaluate models on the recipe's held-out queries, and save what is found in the run.

    Args:
        paths: of the models by name, "prompt" for the base under the positive prompts; base,
            prompted base and policy when None.
    """
    recipe, base = places.recipe, Path(places.base)
    if paths is None:
        prompted = {PROMPT: base} if section.prompt else {}
        paths = {BASE: base, **prompted, policy_name(recipe): places.policy}
    prompts = recipe.pair.positive if PROMPT in paths else ()
    paths = {name: path for name, path in paths.items() if name != PROMPT}  # comes with the base
    asked = assembly(places, section, paths, prompts)
    save_evaluation(run, asked.evaluate(progress))
    for name, path in paths.items():
        complete_card(run, name, path)
    return {"queries": len(asked.queries)}


def report(
    recipe: Recipe,
    run: RunDirectory,
    metrics: Mapping[str, Path] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Write report.html from evaluation.json, samples/ and metrics files.

    Args:
        metrics: of the trained models by name; the policy's when None.
    """
    data = saved_data(
        run.directory,
        title or recipe.about or "An aligned model",
        recipe.pair.to_json(),
        recipe.model_dump(mode="json", exclude={"compare"}),
        metrics or {policy_name(recipe): run.path("train", "metrics.jsonl")},
        policy_name(recipe),
        notes,
        versions=run.manifest()["versions"],
    )
    build_report(run.path("report.html"), data)
    return {}
