"""`neat run`: the stages of a recipe, each skipped when it is finished.

model     trained from scratch, where the recipe asks for it     DIR/model
reward    trained from preferences, likewise                     DIR/reward
heldout   the scorer that training never sees, likewise          DIR/heldout_reward
train     the policy                                             DIR/policy, DIR/train
evaluate  base and policy on held-out queries                    DIR/evaluation.json
report                                                           DIR/report.html
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from neat_align.data import load_groups
from neat_align.errors import OutputError, RecipeError, raise_all
from neat_align.evaluation import Evaluation
from neat_align.prompts.steering import Steering
from neat_align.provenance import Source, keep, recorded, refuse_changes
from neat_align.recipe import (
    Recipe,
    RewardTraining,
    check_recipe,
    recipe_sources,
    reward_imports,
)
from neat_align.report import build_report, saved_data
from neat_align.sampling.trial_text import summary
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import RunDirectory
from neat_align.training.launch import leave_together
from neat_align.workflow import inputs, stages
from neat_align.workflow.evaluation import assembly, complete_card, save_evaluation
from neat_align.workflow.stages import HELD_OUT, Trial, policy_name

Say = Callable[[str], None]
SHOWN = 3  # damaged files named in an error


@dataclass(frozen=True)
class Stage:
    """A part of a run that is done once.

    Attributes:
        do: does it, and tells of it what `stages.json` is to keep.
        outputs: the files and directories it leaves in the run's directory; without the
            first one, it is not done.
    """

    name: str
    do: Callable[[Recipe, RunDirectory], Mapping[str, Any]]
    outputs: tuple[str, ...]


TRAINED = ("policy", "train/metrics.jsonl")
EVALUATED = ("evaluation.json", "results.json", "samples")


def run_recipe(
    recipe: Recipe,
    directory: Path,
    resume: bool = False,
    say: Say = lambda text: None,
    force: bool = False,
) -> dict[str, Any]:
    """Run every stage of a recipe and return its results.

    Args:
        recipe: checked here before anything is loaded.
        directory: new, or that of the same run when `resume`.
        say: told, in a line, what begins.
        force: train although the steering pair does not steer when it is tried.

    Raises:
        InputError: everything that is wrong with the recipe, its files or the directory.
        SteeringError: the pair does not steer.
    """
    raise_all(
        check_recipe(recipe)
        or reward_imports(recipe)
        or stages.refused_settings(recipe) + stages.needs(recipe)
    )
    raise_all(inputs.held_out_problems(recipe))
    run, recipe = opened(recipe, directory, resume)
    train = partial(align, trial="warns" if force else "stops")
    plan = [*model_stages(recipe), Stage("train", train, TRAINED)]
    if recipe.evaluate:
        plan.append(Stage("evaluate", evaluate_models, EVALUATED))
        plan.append(Stage("report", report, ("report.html",)))
    say(stages.where(recipe))
    run_stages(plan, recipe, run, say)
    results = run.path("results.json")
    return read_json(results) if results.exists() else {}


def opened(
    recipe: Recipe, directory: Path, resume: bool, groups: Path | None = None, key: str = ""
) -> tuple[RunDirectory, Recipe]:
    """The directory of a recipe's run, and the recipe with the texts that the run keeps.

    Args:
        groups: stored groups that are trained on.
        key: under which the recipe stands in run.json; its whole content when "".
    """
    settings = recipe.model_dump(mode="json", exclude={"compare"})
    sources = recipe_sources(recipe)
    if groups:
        sources["groups"] = Source("groups", str(groups.absolute()))
    if key:
        settings = {key: settings}
        sources = {f"{key}.{place}": source for place, source in sources.items()}
    run = RunDirectory.open(directory, settings, resume, recorded(sources))
    keep(run, sources)
    return run, as_it_was(recipe, run)


def as_it_was(recipe: Recipe, run: RunDirectory) -> Recipe:
    """The recipe with the steering texts of its run, whatever has become of their file."""
    (pair,) = [s["pair"] for s in run.manifest()["sources"].values() if "pair" in s]
    return recipe.with_pair(Steering(**pair))


def model_stages(recipe: Recipe) -> list[Stage]:
    """The stages that train what alignment and evaluation start from."""
    plan: list[Stage] = []
    if recipe.model.from_scratch:
        plan.append(Stage("model", train_model, ("model",)))
    if recipe.reward.train:
        plan.append(Stage("reward", train_reward, ("reward",)))
    if recipe.evaluate and isinstance(recipe.evaluate.heldout_reward, RewardTraining):
        plan.append(Stage("heldout_reward", train_heldout_reward, ("heldout_reward",)))
    return plan


def run_stages(plan: Sequence[Stage], recipe: Recipe, run: RunDirectory, say: Say) -> None:
    """Do each stage that is not finished; say what begins and how long it took.

    Raises:
        OutputError: what a finished stage wrote is not what is there now.
    """
    with run.held():
        done = [stage for stage in plan if run.is_done(stage.name)]
        gone = [stage for stage in done if not run.path(stage.outputs[0]).exists()]
        raise_all([error for stage in done if stage not in gone for error in _damage(stage, run)])
        for stage in plan:
            if stage in done and stage not in gone:
                say(f"{stage.name}: done before")
                continue
            refuse_changes(run)
            say(f"{stage.name} …" + (f" again: {stage.outputs[0]} is gone" * (stage in gone)))
            start = time.perf_counter()
            info = stage.do(recipe, run)
            seconds = time.perf_counter() - start
            run.mark_done(stage.name, {"seconds": seconds, **info}, stage.outputs)
            say(f"{stage.name}: {seconds:.0f} s{_phases(info)}")
            if info.get("steering"):
                say(info["steering"])


def _damage(stage: Stage, run: RunDirectory) -> Iterator[OutputError]:
    """An error if a finished stage's files have changed."""
    wrong = run.damage(stage.name)
    if wrong:
        shown = "; ".join(f"{path}: {why}" for path, why in list(wrong.items())[:SHOWN])
        yield OutputError(
            f"what the stage {stage.name!r} wrote in {run.directory}",
            f"{len(wrong)} files are not as they were written ({shown})",
            f"restore them, or remove {stage.outputs[0]}: the stage is then done again",
        )


def _phases(info: Mapping[str, Any]) -> str:
    """Where the time of a training went, in brackets; "" for another stage."""
    if "phases" not in info:
        return ""
    from neat_align.training.stopwatch import shares

    return f" ({shares(info['phases'])})"


def train_only(
    recipe: Recipe,
    directory: Path,
    groups: Path | None,
    resume: bool,
    force: bool = False,
    say: Say = lambda text: None,
) -> str:
    """`neat train`: the training stage by itself, on stored groups where they are given.

    Under a launcher each process calls this, and they train together.

    Args:
        force: train although the steering pair does not steer when it is tried.

    Returns:
        What the steering trial found, in a line; "" where there was none.

    Raises:
        InputError: everything that is wrong with the recipe, the groups or the directory.
    """
    errors = check_recipe(recipe)
    if recipe.model.from_scratch or recipe.reward.train:
        given = "a recipe that trains its own model or reward model"
        errors.append(RecipeError(given, "those are stages of their own", "use `neat run`"))
    needs = [] if errors or groups else reward_imports(recipe) or stages.needs(recipe)
    raise_all(errors or stages.refused_settings(recipe) + needs)
    say(stages.where_trained(recipe))
    stored = load_groups(groups) if groups else None
    for group in stored or ():
        _ = group.scores  # refuses unscored groups before a model is loaded
    raise_all(inputs.held_out_problems(recipe, [g.query for g in stored] if stored else None))
    raise_all(stages.stored_needs(recipe, stored) if stored else [])
    trial: Trial = "warns" if force else "stops"
    if int(os.environ.get("RANK", "0")):  # the first rank looks after the directory
        align(recipe, RunDirectory(directory), stored, trial)
        leave_together()
        return ""
    run, recipe = opened(recipe, directory, resume, groups)
    with run.held():
        info = align(recipe, run, stored, trial)
        run.mark_done("train", info, TRAINED)
    leave_together()
    return str(info.get("steering", ""))


# ---------------------------------------------------------------------------- the stages


def train_model(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The base model, from scratch."""
    return stages.train_base(recipe, run.path("model"))


def train_reward(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The scorer that trains the policy."""
    assert recipe.reward.train is not None
    base = base_source(recipe, run)
    return stages.train_reward(base, recipe.reward.train, recipe.seed, run.path("reward"), recipe)


def train_heldout_reward(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The scorer that only the evaluation sees."""
    assert recipe.evaluate is not None
    section = recipe.evaluate.heldout_reward
    assert isinstance(section, RewardTraining)
    seed = recipe.seed + HELD_OUT
    base, output = base_source(recipe, run), run.path("heldout_reward")
    return stages.train_reward(base, section, seed, output, recipe)


def align(
    recipe: Recipe, run: RunDirectory, groups: Any = None, trial: Trial = "stops"
) -> Mapping[str, Any]:
    """The policy, by the recipe's objective, online; resumes from the last checkpoint."""
    base, rewards = base_source(recipe, run), training_rewards(recipe, run)
    trainer = stages.align(recipe, base, rewards, run.path("train"), groups, trial)
    stages.save_policy(trainer, run.path("policy"), run.sources())
    tried = trainer.steering_trial
    return {
        **({"steering": summary(tried)} if tried else {}),
        "groups": len(trainer.train_dataset),
        "steps": trainer.state.global_step,
        "phases": trainer.stopwatch.total_seconds,
    }


def evaluate_models(
    recipe: Recipe,
    run: RunDirectory,
    paths: Mapping[str, Path] | None = None,
    progress: Callable[[str, Evaluation], None] | None = None,
) -> Mapping[str, Any]:
    """Models on the recipe's held-out queries; base and policy when no others are named."""
    assert recipe.evaluate is not None
    section = recipe.evaluate
    heldout = section.heldout_reward
    if isinstance(heldout, RewardTraining):
        heldout = str(run.path("heldout_reward"))
    prompts = recipe.pair.positive if paths is None and section.prompt else ()
    if paths is None:
        paths = {"base": Path(base_source(recipe, run)), policy_name(recipe): run.path("policy")}
    asked = assembly(recipe, paths, training_rewards(recipe, run), heldout, prompts)
    save_evaluation(run, asked.evaluate(progress))
    for name, path in paths.items():
        complete_card(run, name, path)
    return {"queries": len(asked.queries)}


def report(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """The page, from what the other stages left."""
    write_report(recipe, run, {policy_name(recipe): run.path("train", "metrics.jsonl")})
    return {}


# ------------------------------------------------------------------ what the stages share


def base_source(recipe: Recipe, run: RunDirectory) -> str:
    """The model that alignment starts from."""
    return recipe.model.path or str(run.path("model"))


def training_rewards(recipe: Recipe, run: RunDirectory) -> list[str]:
    """The recipe's scorers, the one trained here included."""
    return recipe.reward.names + ([str(run.path("reward"))] if recipe.reward.train else [])


def write_report(
    recipe: Recipe,
    run: RunDirectory,
    metrics: Mapping[str, Path],
    title: str = "",
    notes: Sequence[str] = (),
) -> None:
    """report.html from evaluation.json, samples/ and metrics files."""
    data = saved_data(
        run.directory,
        title or recipe.about or "An aligned model",
        recipe.pair.to_json(),
        recipe.model_dump(mode="json", exclude={"compare"}),
        metrics,
        policy_name(recipe),
        notes,
        versions=run.manifest()["versions"],
    )
    build_report(run.path("report.html"), data)
