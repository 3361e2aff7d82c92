"""The commands of a whole run: demo, run, report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neat_align.cli import catalogue, stages
from neat_align.cli.compare import compare
from neat_align.cli.dataset import dataset_app
from neat_align.cli.devices import RecipeDevice, RecipeDtype, as_overrides
from neat_align.cli.doctor import doctor
from neat_align.cli.model import model_app
from neat_align.cli.options import Force, Seed
from neat_align.cli.reward import reward_app
from neat_align.cli.sample import sample
from neat_align.cli.score import score
from neat_align.cli.steering_try import steering_try
from neat_align.cli.tasks import task_app
from neat_align.cli.told import tell_run
from neat_align.cli.warnings import warn

app = typer.Typer(
    help="Tell a language model in plain words what it must not do, and train it not to.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(catalogue.recipe_app, name="recipe")
app.add_typer(catalogue.launch_app, name="launch")
catalogue.steering_app.command("try")(steering_try)
app.add_typer(catalogue.steering_app, name="steering")
app.add_typer(catalogue.method_app, name="method")
app.add_typer(catalogue.scorer_app, name="scorer")
app.add_typer(task_app, name="task")
app.add_typer(model_app, name="model")
app.add_typer(dataset_app, name="dataset")
app.add_typer(reward_app, name="reward")
for command in (
    doctor,
    compare,
    sample,
    score,
    stages.train,
    stages.evaluate,
):
    app.command()(command)

console = Console(soft_wrap=True, highlight=False)

Output = Annotated[Path, typer.Option("--output", "-o", help="Directory of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the same run where it stopped.")]


@app.command()
def demo(
    output: Output = Path("runs/demo"),
    seed: Seed = 0,
    resume: Resume = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also train RRHF, NEAT-PP, SFT and DPO, on as many responses."
        ),
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(help="Another built-in recipe, e.g. world, the generated one.")
    ] = None,
    device: RecipeDevice = None,
    dtype: RecipeDtype = None,
) -> None:
    """Watch a real chat model unlearn a habit, in minutes, on two CPU cores.

    Example: neat demo --output runs/demo --seed 0
    Example: neat demo --recipe world --output runs/world --compare
    """
    from neat_align.study.demo import RECIPE, run_demo

    place = as_overrides(device, dtype)
    run_demo(output, seed, resume, compare, console, place, recipe or RECIPE)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe's name, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings of the recipe: section.key=value.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="A method of `neat method list`, laid over the recipe.")
    ] = None,
    output: Output = Path("runs/run"),
    resume: Resume = False,
    force: Force = False,
    device: RecipeDevice = None,
    dtype: RecipeDtype = None,
) -> None:
    """Run a recipe: models, alignment, evaluation, report.

    With --resume the same command goes on where it stopped: finished stages are skipped.

    Example: neat run hh_smollm2 train.max_steps=50 --output runs/hh
    """
    from neat_align.recipe import load_recipe, recipe_warnings
    from neat_align.workflow.pipeline import run_recipe

    loaded = load_recipe(recipe, [*(overrides or ()), *as_overrides(device, dtype)])
    warn(recipe_warnings(loaded))
    if method is not None:
        from neat_align.study.methods import with_method

        loaded = with_method(loaded, method)
    run_recipe(loaded, output, resume, partial(console.print, markup=False), force)
    tell_run(output, console.print)


@app.command()
def report(
    directory: Annotated[
        Path, typer.Argument(help="Directory that run, train, evaluate or compare wrote.")
    ],
) -> None:
    """Rewrite the page of a run, a training, an evaluation or a comparison.

    Example: neat report runs/hh
    """
    from neat_align.cli.report import changed_since, rebuild

    page = rebuild(directory)
    for what in changed_since(directory):
        console.print(f"changed since, and told as it was in the run: {what}", markup=False)
    console.print(f"written: {page}")
