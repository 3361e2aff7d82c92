"""`neat demo`: a real chat model unlearns a habit, with the evidence.

It is a recipe, run once: the model is aligned by NEAT online, and the base, the base with the
rule as its prompt, and the aligned model are evaluated on test queries that nothing was trained
or chosen on. With `compare`, rivals are aligned too, on the same model, rewards and number of
responses.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from neat_align.evaluation import Evaluation
from neat_align.evaluation.results import BASE, PROMPT
from neat_align.recipe import Recipe, load_recipe, recipe_from
from neat_align.report.build import told
from neat_align.report.glossary import entry, in_order, shown
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import RunDirectory
from neat_align.study.methods import load_methods
from neat_align.workflow import pipeline, stages
from neat_align.workflow.alignment import Alignment
from neat_align.workflow.pipeline import Stage
from neat_align.workflow.places import Places

RECIPE = "smollm2_no_lists"
CHECKPOINTS = ("train.save_strategy=steps", "train.save_steps=100", "train.save_total_limit=1")
RIVALS = ("rrhf", "neat_pp", "sft", "dpo", "dpo_neg")
OF_WORLD = (
    "The language, its facts and the people in it are generated, so that the truth about "
    "every response is known. It shows that the method works, and says nothing about the "
    "size of its effect on a large model."
)


def run_demo(
    output: Path,
    seed: int = 0,
    resume: bool = False,
    compare: bool = False,
    console: Console | None = None,
    overrides: Sequence[str] = (),
    name: str = RECIPE,
) -> dict[str, Any]:
    """Run the demo and return its results.

    Args:
        output: new directory, or that of the same demo when `resume`; a finished demo can
            be resumed with `compare` to add the rivals.
        seed: of the groups and the evaluation, and of what is generated or trained before.
        overrides: of the recipe; smaller sizes make a quick test.
        name: of the recipe.

    Raises:
        OutputError: `output` holds something else.
    """
    console = console or Console(quiet=True)
    recipe = load_recipe(name, [f"seed={seed}", *CHECKPOINTS, *overrides])
    run, recipe = pipeline.opened(recipe, output, resume, key="demo")
    rivals = RIVALS if compare else ()
    start = time.perf_counter()
    places = Places.of(recipe, run)
    base = Path(places.base)
    paths = {BASE: base, PROMPT: base, "neat": places.policy}
    paths |= {name: run.path("methods", name) for name in rivals}
    plan = [
        *pipeline.model_stages(places),
        *pipeline.align_stages(places, run, "warns"),
        *(Stage(n, partial(_align_rival, places, run, n), (f"methods/{n}",)) for n in rivals),
    ]
    if section := recipe.evaluate:
        evaluate = partial(stages.evaluate, places, section, run, paths, partial(_show, console))
        plan.append(Stage("evaluate " + ", ".join(paths), evaluate, pipeline.EVALUATED))
    write = partial(report, recipe, run)
    plan.append(Stage("report of " + ", ".join(paths), write, ("report.html",)))
    pipeline.run_stages(plan, run, partial(console.print, markup=False))
    console.print(f"finished in {time.perf_counter() - start:.0f} s: {run.path('report.html')}")
    return read_json(run.path("results.json"))


def report(recipe: Recipe, run: RunDirectory) -> Mapping[str, Any]:
    """Write report.html from what the demo left."""
    notes = [OF_WORLD] if recipe.queries.world else []
    metrics = {"neat": run.path("train", "metrics.jsonl")}
    metrics |= {name: _rival_folder(run, name) / "metrics.jsonl" for name in RIVALS}
    return stages.report(recipe, run, metrics, title=f"neat demo: {recipe.about}", notes=notes)


def _align_rival(places: Places, run: RunDirectory, name: str) -> Mapping[str, Any]:
    """Align a rival in its first setting; see `neat compare` for a search."""
    recipe, method = places.recipe, load_methods()[name]
    setting = method.settings(1, recipe.train["learning_rate"])[0]
    content = recipe.model_dump(mode="json", exclude={"compare"})
    own = recipe_from(method.applied(content, setting))
    train, policy = _rival_folder(run, name), run.path("methods", name)
    own_places = replace(places, recipe=own, train=train, policy=policy)
    trainer = Alignment(own_places, trial="off").train()
    return {"steps": trainer.state.global_step}


def _rival_folder(run: RunDirectory, name: str) -> Path:
    return run.path("rivals", name)


def _show(console: Console, name: str, evaluation: Evaluation) -> None:
    """Print the figures so far, a column for each model."""
    table = Table("", *evaluation.models)
    present = in_order({m for result in evaluation.models.values() for m in result.figures})
    for metric in told(present, "report"):
        figures = [result.figures.get(metric) for result in evaluation.models.values()]
        table.add_row(
            entry(metric).title, *(shown(metric, f.value if f else None) for f in figures)
        )
    console.print(table)
