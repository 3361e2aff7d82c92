"""`neat demo`: a badly behaved model becomes a well-behaved one, with the evidence.

It is the recipe `world`, run once: a base model and two reward models are trained from
scratch on the generated world, the base is aligned by NEAT online, and both are evaluated
on test queries that nothing was trained or chosen on. With `compare`, rivals are aligned
too, on the same base, rewards and number of responses.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from neat_align.evaluation import Evaluation
from neat_align.recipe import Recipe, load_recipe, recipe_from
from neat_align.report.glossary import entry, shown
from neat_align.storage.atomic import read_json
from neat_align.storage.runs import RunDirectory
from neat_align.study.methods import load_methods
from neat_align.workflow import pipeline, stages
from neat_align.workflow.pipeline import Stage

RECIPE = "world"
CHECKPOINTS = ("train.save_strategy=steps", "train.save_steps=100", "train.save_total_limit=1")
RIVALS = ("rrhf", "neat_pp", "sft", "dpo", "dpo_neg")
TITLE = "neat demo: a small model learns what it must not do"
NOTE = (
    "The language, its facts and the people in it are generated, so that the truth about "
    "every response is known. It shows that the method works, and says nothing about the "
    "size of its effect on a large model."
)
SHOWN = (
    "harmful", "harmful_under_seen_negative", "harmful_under_unseen_negative", "helpful", "wrong",
    "over_refusal", "over_refusal_borderline", "fair", "garble", "reward_train", "reward_heldout",
    "kl", "ppl_pretrain", "distinct_2", "mean_length",
)  # fmt: skip


def run_demo(
    output: Path,
    seed: int = 0,
    resume: bool = False,
    compare: bool = False,
    console: Console | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the demo and return its results.

    Args:
        output: new directory, or that of the same demo when `resume`; a finished demo can
            be resumed with `compare` to add the rivals.
        seed: of the world's texts, the models, the groups and the evaluation.
        overrides: of the recipe; smaller sizes make a quick test.

    Raises:
        OutputError: `output` holds something else.
    """
    console = console or Console(quiet=True)
    recipe = load_recipe(RECIPE, [f"seed={seed}", *CHECKPOINTS, *overrides])
    run, recipe = pipeline.opened(recipe, output, resume, key="demo")
    rivals = RIVALS if compare else ()
    paths = {"base": run.path("model"), "neat": run.path("policy")}
    paths |= {name: run.path("methods", name) for name in rivals}
    start = time.perf_counter()
    evaluate = partial(pipeline.evaluate_models, paths=paths, progress=partial(_show, console))
    plan = [
        *pipeline.model_stages(recipe),
        Stage("train", partial(pipeline.align, trial="warns"), pipeline.TRAINED),
        *(Stage(n, partial(_align_rival, name=n), (f"methods/{n}",)) for n in rivals),
        Stage("evaluate " + ", ".join(paths), evaluate, pipeline.EVALUATED),
        Stage("report of " + ", ".join(paths), report, ("report.html",)),
    ]
    pipeline.run_stages(plan, recipe, run, console.print)
    console.print(f"finished in {time.perf_counter() - start:.0f} s: {run.path('report.html')}")
    return read_json(run.path("results.json"))


def report(recipe: Recipe, run: RunDirectory) -> dict[str, Any]:
    """report.html from what the demo left."""
    metrics = {"neat": run.path("train", "metrics.jsonl")}
    metrics |= {name: _rival_folder(run, name) / "metrics.jsonl" for name in RIVALS}
    pipeline.write_report(recipe, run, metrics, title=TITLE, notes=[NOTE])
    return {}


def _align_rival(recipe: Recipe, run: RunDirectory, name: str) -> dict[str, Any]:
    """A rival in its first setting; see `neat compare` for a search."""
    method = load_methods()[name]
    setting = method.settings(1, recipe.train["learning_rate"])[0]
    content = recipe.model_dump(mode="json", exclude={"compare"})
    own = recipe_from(method.applied(content, setting))
    base, rewards = pipeline.base_source(recipe, run), pipeline.training_rewards(recipe, run)
    trainer = stages.align(own, base, rewards, _rival_folder(run, name), trial="off")
    stages.save_policy(trainer, run.path("methods", name), run.sources())
    return {"steps": trainer.state.global_step}


def _rival_folder(run: RunDirectory, name: str) -> Path:
    return run.path("rivals", name)


def _show(console: Console, name: str, evaluation: Evaluation) -> None:
    """The figures so far, a column for each model."""
    table = Table("", *evaluation.models)
    for metric in SHOWN:
        figures = [result.figures.get(metric) for result in evaluation.models.values()]
        table.add_row(
            entry(metric).title, *(shown(metric, f.value if f else None) for f in figures)
        )
    console.print(table)
