"""The order of the stages of `neat run`, each skipped when it is finished.

model     trained from scratch, where the recipe asks for it     DIR/model
reward    trained from preferences, likewise                     DIR/reward
heldout   the scorer that training never sees, likewise          DIR/heldout_reward
try the steering, by the model to be trained                     DIR/train/steering_trial.json
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
from neat_align.evaluation.results import PARTED
from neat_align.prompts.steering import Steering
from neat_align.provenance import Source, keep, recorded, refuse_changes
from neat_align.recipe import Recipe, check_recipe, own_code_problems, recipe_sources
from neat_align.sampling.trial_result import TRIAL_FILE
from neat_align.sampling.trial_text import summary, told
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import RunDirectory
from neat_align.training.launch import leave_together
from neat_align.training.reward_watch import parting
from neat_align.workflow import inputs, stages
from neat_align.workflow.alignment import Alignment, is_tried_apart
from neat_align.workflow.places import FOLDERS, Places, heldout_training
from neat_align.workflow.recipe_settings import (
    Trial,
    needs,
    precision,
    refused_settings,
    stored_needs,
    where,
)

Say = Callable[[str], None]
SHOWN = 3  # damaged files named in an error


@dataclass(frozen=True)
class Stage:
    """A part of a run that is done once.

    Attributes:
        do: does it, and tells of it what `stages.json` is to keep.
        outputs: the files and directories it leaves in the run's directory; without the
            first one, it is not done.
        tell: what to say when it has been done.
    """

    name: str
    do: Callable[[], Mapping[str, Any]]
    outputs: tuple[str, ...]
    tell: Callable[[], str] = str


TRY = "try the steering"
TRIED = (f"train/{TRIAL_FILE}",)
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
        or own_code_problems(recipe)
        or refused_settings(recipe) + needs(recipe)
    )
    raise_all([*inputs.held_out_problems(recipe), *inputs.column_problems(recipe)])
    run, recipe = opened(recipe, directory, resume)
    places = Places.of(recipe, run)
    plan = [*model_stages(places), *align_stages(places, run, "warns" if force else "stops")]
    if section := recipe.evaluate:
        plan.append(Stage("evaluate", partial(stages.evaluate, places, section, run), EVALUATED))
        plan.append(Stage("report", partial(stages.report, recipe, run), ("report.html",)))
    say(where(recipe))
    run_stages(plan, run, say)
    results = run.path("results.json")
    return read_json(results) if results.exists() else {}


def opened(
    recipe: Recipe, directory: Path, resume: bool, groups: Path | None = None, key: str = ""
) -> tuple[RunDirectory, Recipe]:
    """Open the directory of a recipe's run; return it, and the recipe with the texts it keeps.

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
    """Return the recipe with the steering texts of its run, whatever became of their file."""
    (pair,) = [s["pair"] for s in run.manifest()["sources"].values() if "pair" in s]
    return recipe.with_pair(Steering(**pair))


def model_stages(places: Places) -> list[Stage]:
    """List the stages that train what alignment and evaluation start from."""
    return [
        Stage(FOLDERS[own.role], partial(own.train, places), (FOLDERS[own.role],))
        for own in stages.model_trainings(places.recipe)
    ]


def align_stages(places: Places, run: RunDirectory, trial: Trial) -> list[Stage]:
    """Make the stages that try the steering, where that can be done apart, and train the policy.

    A run that is trained already is not tried any more.
    """
    own = Alignment(places, trial=trial)
    apart = run.is_done(TRY) or (is_tried_apart(places.recipe) and not run.is_done("train"))
    trying = Stage(TRY, own.try_steering, TRIED, lambda: told(own.tried(), shown=0))
    training = Stage("train", lambda: _told(own.train(apart)), TRAINED)
    return [trying, training] if apart else [training]


def _told(trainer: Any) -> dict[str, Any]:
    """Collect what `stages.json` keeps of a training."""
    tried = trainer.steering_trial
    return {
        **({"steering": summary(tried)} if tried else {}),
        **({PARTED: why} if (why := parting(trainer.state.log_history)) else {}),
        "groups": len(trainer.train_dataset),
        "steps": trainer.state.global_step,
        "phases": trainer.stopwatch.total_seconds,
    }


def run_stages(plan: Sequence[Stage], run: RunDirectory, say: Say) -> None:
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
            info = stage.do()
            seconds = time.perf_counter() - start
            run.mark_done(stage.name, {"seconds": seconds, **info}, stage.outputs)
            say(f"{stage.name}: {seconds:.0f} s{_phases(info)}")
            if text := stage.tell():
                say(text)


def _damage(stage: Stage, run: RunDirectory) -> Iterator[OutputError]:
    """Yield an error if a finished stage's files have changed."""
    wrong = run.damage(stage.name)
    if wrong:
        shown = "; ".join(f"{path}: {why}" for path, why in list(wrong.items())[:SHOWN])
        yield OutputError(
            f"what the stage {stage.name!r} wrote in {run.directory}",
            f"{len(wrong)} files are not as they were written ({shown})",
            f"restore them, or remove {stage.outputs[0]}: the stage is then done again",
        )


def _phases(info: Mapping[str, Any]) -> str:
    """Tell where the time of a training went, in brackets; "" for another stage."""
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
    """Run the training stage by itself (`neat train`), on stored groups where they are given.

    Under a launcher each process calls this, and they train together.

    Args:
        force: train although the steering pair does not steer when it is tried.

    Returns:
        What the steering trial found, in a line; "" where there was none.

    Raises:
        InputError: everything that is wrong with the recipe, the groups or the directory.
    """
    errors = check_recipe(recipe)
    if recipe.evaluate and recipe.evaluate.watch != "off" and heldout_training(recipe):
        given = "evaluate.watch with a held-out reward that the recipe trains"
        errors.append(RecipeError(given, "that is a stage of its own", "use `neat run`"))
    if recipe.model.from_scratch or recipe.reward.train:
        given = "a recipe that trains its own model or reward model"
        errors.append(RecipeError(given, "those are stages of their own", "use `neat run`"))
    lacking = [] if errors or groups else own_code_problems(recipe) or needs(recipe)
    raise_all(errors or refused_settings(recipe) + lacking)
    say(str(precision(recipe)))
    stored = load_groups(groups) if groups else None
    for group in stored or ():
        _ = group.scores  # refuses unscored groups before a model is loaded
    raise_all(inputs.held_out_problems(recipe, [g.query for g in stored] if stored else None))
    raise_all(stored_needs(recipe, stored) if stored else inputs.column_problems(recipe))
    trial: Trial = "warns" if force else "stops"
    if int(os.environ.get("RANK", "0")):  # the first rank looks after the directory
        Alignment(Places.of(recipe, RunDirectory(directory)), stored, trial).train()
        leave_together()
        return ""
    run, recipe = opened(recipe, directory, resume, groups)
    with run.held():
        info = _told(Alignment(Places.of(recipe, run), stored, trial).train())
        run.mark_done("train", info, TRAINED)
    leave_together()
    return str(info.get("steering", ""))
