"""What there is: recipes, steering pairs, methods."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neat_align.cli.warnings import warn
from neat_align.errors import OutputError, RecipeError, nearest, raise_all
from neat_align.prompts.prohibition import prohibition_warnings
from neat_align.prompts.steering import Steering, steering_names
from neat_align.recipe import (
    check_recipe,
    load_recipe,
    recipe_names,
    recipe_text,
    recipe_warnings,
)
from neat_align.storage.atomic import atomic_write_text

console = Console(soft_wrap=True, highlight=False)

recipe_app = typer.Typer(help="Recipes: list, show, copy, check, keys.", no_args_is_help=True)
launch_app = typer.Typer(help="Configs for several processes.", no_args_is_help=True)
steering_app = typer.Typer(help="Steering pairs: list, show, try.", no_args_is_help=True)
scorer_app = typer.Typer(help="Scorers that have a name: list.", no_args_is_help=True)
method_app = typer.Typer(help="Methods: list, show.", no_args_is_help=True)

LAUNCH_CONFIGS = files("neat_align").joinpath("training", "launch_configs")

Name = Annotated[str, typer.Argument(help="A name from the list.")]


@recipe_app.command("list")
def recipe_list() -> None:
    """List the built-in recipes."""
    for name in recipe_names():
        first = recipe_text(name).splitlines()[0].removeprefix("#").strip()
        console.print(f"{name:<20} {first}", markup=False)


@recipe_app.command("show")
def recipe_show(name: Name) -> None:
    """Show a built-in recipe's YAML."""
    console.print(recipe_text(name), markup=False)


@recipe_app.command("copy")
def recipe_copy(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
) -> None:
    """Copy a built-in recipe to a file to change it.

    Example: neat recipe copy hh_smollm2 mine.yaml
    """
    _write_new(path, recipe_text(name))


def _write_new(path: Path, text: str) -> None:
    if path.exists():
        raise OutputError(f"file {path}", "it exists", "name another file")
    atomic_write_text(path, text)
    console.print(f"written: {path}")


@recipe_app.command("check")
def recipe_check(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe's name, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings of the recipe: section.key=value.")
    ] = None,
) -> None:
    """Find everything that is wrong with a recipe, without loading a model.

    Example: neat recipe check mine.yaml train.learning_rate=5e-7
    """
    from neat_align.workflow.inputs import channel_problems, held_out_problems

    loaded = load_recipe(recipe, overrides or ())
    raise_all(check_recipe(loaded) or [*channel_problems(loaded), *held_out_problems(loaded)])
    warnings = recipe_warnings(loaded)
    warn(warnings)
    told = f"{len(warnings)} to look at again" if warnings else "no problem found"
    console.print(f"{recipe}: {told}")


@recipe_app.command("keys")
def recipe_keys(
    word: Annotated[
        str, typer.Argument(help="A section or a part of a key's name; all of ours without it.")
    ] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="The page of the docs.")] = False,
) -> None:
    """Explain the keys of a recipe, and their defaults.

    Example: neat recipe keys
    Example: neat recipe keys sample
    Example: neat recipe keys train
    """
    from neat_align.recipe.keys import as_markdown, matching_keys, recipe_keys

    if markdown:
        typer.echo(as_markdown(), nl=False)
        return
    found = matching_keys(word)
    if not found:
        known = [key.name for key in recipe_keys()]
        raise RecipeError(f"key {word!r}", "no recipe key is called so", nearest(word, known))
    for key in found:
        told = " · ".join(filter(None, [key.kind, key.default and f"default {key.default}"]))
        console.print(f"{key.name}  ({told.replace('default required', 'required')})", markup=False)
        console.print(f"    {key.meaning}", markup=False)


@launch_app.command("list")
def launch_list() -> None:
    """List the built-in configs for `accelerate launch --config_file`."""
    for name in _launch_names():
        first = _launch_text(name).splitlines()[0].removeprefix("#").strip()
        console.print(f"{name:<8} {first}", markup=False)


@launch_app.command("show")
def launch_show(name: Name) -> None:
    """Show a config's YAML."""
    console.print(_launch_text(name), markup=False)


@launch_app.command("copy")
def launch_copy(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
) -> None:
    """Copy a config to a file, to set the number of processes in it and launch with it.

    Example: neat launch copy zero2 zero2.yaml
    """
    _write_new(path, _launch_text(name))


def _launch_names() -> list[str]:
    return sorted(f.name.removesuffix(".yaml") for f in LAUNCH_CONFIGS.iterdir())


def _launch_text(name: str) -> str:
    if name not in _launch_names():
        raise RecipeError(
            f"launch config {name!r}", "there is none", nearest(name, _launch_names())
        )
    return LAUNCH_CONFIGS.joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@method_app.command("list")
def method_list() -> None:
    """List the methods of `neat compare` and `neat run --method`."""
    from neat_align.study.methods import load_methods

    for method in load_methods().values():
        console.print(f"{method.name:<16} {method.about}", markup=False)


@method_app.command("show")
def method_show(name: Name) -> None:
    """Show what a method lays over a recipe, and what is tried when it is tuned."""
    import yaml

    from neat_align.study.methods import load_methods, unknown_methods

    raise_all(unknown_methods([name]))
    method = load_methods()[name]
    told = {
        **method.overlay,
        "rates": list(method.rates),
        "search": {key: list(values) for key, values in method.search.items()},
        "tuned_as": method.tuned_as,
    }
    text = yaml.safe_dump({k: v for k, v in told.items() if v}, sort_keys=False)
    console.print(f"# {method.about}\n{text}", markup=False)


@scorer_app.command("list")
def scorer_list() -> None:
    """List the scorers that have a name, for `--reward` and a recipe's `reward`."""
    from neat_align.scoring import named_scorers

    for name, kind in named_scorers().items():
        written = name if kind.takes == "nothing" else f"{name}={kind.usual or kind.takes}"
        console.print(f"{written:<20} {kind.about}", markup=False)
    own = ("file.py:NAME", "a function in TRL's signature, or a class with score(groups), of yours")
    console.print("{:<20} {}".format(*own), markup=False)
    console.print(f"{'MODEL':<20} a reward model: its directory or hub id", markup=False)


@steering_app.command("list")
def steering_list() -> None:
    """List the built-in steering pairs."""
    for name in steering_names():
        pair = Steering.named(name)
        console.print(f"{name:<12} v{pair.version}  {pair.about}", markup=False)


@steering_app.command("show")
def steering_show(name: Name) -> None:
    """Show the texts of a steering pair: a built-in name, or a YAML or JSON file.

    Example: neat steering show harmless
    """
    pair = Steering.from_value(name)
    warn(prohibition_warnings(pair))
    sides = (
        ("positive", pair.phrasings("positive")),
        ("negative", pair.phrasings("negative")),
        ("held back, positive", pair.held_back_positive),
        ("held back, negative", pair.held_back_negative),
    )
    for title, texts in sides:
        console.print(f"{title}:", markup=False)
        for text in texts:
            console.print(f"  - {text}", markup=False)
