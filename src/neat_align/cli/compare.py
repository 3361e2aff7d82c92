"""`neat compare`: a grid of methods and seeds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neat_align.cli.devices import RecipeDevice, RecipeDtype, as_overrides
from neat_align.errors import RecipeError

console = Console(soft_wrap=True, highlight=False)


def compare(
    recipe: Annotated[str, typer.Argument(help="A recipe with a `compare` section.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings of the recipe: section.key=value.")
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Methods, separated by commas; those of the recipe by default.")
    ] = "",
    seeds: Annotated[
        str,
        typer.Option(help="Number of seeds, or a list: 5 is 0,1,2,3,4; write 3, for seed 3 alone."),
    ] = "5",
    tune: Annotated[int, typer.Option(min=1, help="Settings per method; 1 tries nothing.")] = 4,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory of the comparison.")
    ] = Path("runs/compare"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the comparison where it stopped.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed.")] = False,
    device: RecipeDevice = None,
    dtype: RecipeDtype = None,
) -> None:
    """Compare methods on the same models, queries and tuning effort; table, pictures, JSON.

    Settings are chosen on development queries of a seed of their own, figures come from
    test queries. Start the same command with --resume on other machines that share the
    directory, and they share the work.

    Example: neat compare world --methods base,dpo,neat --seeds 3 --tune 4 --output runs/study
    """
    from neat_align.recipe import load_recipe
    from neat_align.storage.atomic import atomic_write_json
    from neat_align.storage.runs import RunDirectory
    from neat_align.study import page, summarise, work
    from neat_align.study.plan import plan_grid
    from neat_align.study.store import Store

    names = [name.strip() for name in methods.split(",") if name.strip()]
    given = [*(overrides or ()), *as_overrides(device, dtype)]
    grid = plan_grid(load_recipe(recipe, given), names, _seeds(seeds), tune)
    if work.WORKER in os.environ:
        work.work_through(grid, Store(output))
        return
    RunDirectory(output).check(work.MANIFEST, resume)
    if retry:
        Store(output).forget_failures()
    store = work.compare(grid, output, resume, workers, console.print)
    summary = summarise(grid, store)
    atomic_write_json(output / "comparison.json", summary)
    page.write(output, summary)
    console.print(page.terminal_table(summary))
    console.print(f"report: {output / 'report.html'} (and comparison.md)")


def _seeds(text: str) -> list[int]:
    """Read seeds: `5` is the first five, `3,4` those two, `3,` one."""
    try:
        if "," not in text:
            return list(range(int(text)))
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise RecipeError(
            f"--seeds {text!r}", "it is no number and no list of them", "write 5, or 0,1,2"
        ) from error
