"""Reading a recipe: a built-in name or a file, overrides, and every problem at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from neat_align.errors import InputError, RecipeError, nearest, raise_all
from neat_align.prompts.steering import no_steering
from neat_align.recipe.lora import lora_problems
from neat_align.recipe.paths import Paths, whole_paths
from neat_align.recipe.reward import reward_section
from neat_align.recipe.schema import Recipe
from neat_align.recipe.train_fields import OWNED
from neat_align.storage.paths import is_file
from neat_align.storage.yaml_text import parse_yaml
from neat_align.training.declared import declared_fields
from neat_align.training.trainer_settings import unknown_setting
from neat_align.training.values import convert, not_of_type

NO_SECTION = ("model_type", "model_attributes_type", "dict_type")
"""Pydantic's words for something else in the place of a section."""
SHORT_FOR = {"objective": "name", "steering": "name", "world": "part"}
"""What a text in place of a section stands for; anywhere else it is the path."""


def recipe_names() -> list[str]:
    """List the built-in recipes."""
    folder = files("neat_align").joinpath("recipes")
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def recipe_text(name: str) -> str:
    """Read the YAML of a built-in recipe.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in recipe_names():
        raise RecipeError(
            f"recipe {name!r}",
            "it is neither a built-in recipe nor a file",
            nearest(name, recipe_names()),
        )
    return files("neat_align").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe, and apply `section.key=value` overrides.

    Its paths begin at its folder, those of overrides where one stands.

    Raises:
        RecipeError, SeveralErrors: everything that is wrong with it.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or is_file(path):
        if not is_file(path):
            raise RecipeError(f"recipe {path}", "there is no such file", "check the path")
        text, base = _file_text(path), path.absolute().parent
    else:
        text, base = recipe_text(str(name_or_path)), Path.cwd()
    content, problems = _with_whole_paths(_parse(text, str(name_or_path)), base)
    for override in overrides:
        apply_override(content, override)
        problems = [p for p in problems if not _is_replaced(p, override.partition("=")[0])]
    return recipe_from(content, problems)


def recipe_from(content: Mapping[str, Any], problems: Sequence[InputError] = ()) -> Recipe:
    """Make a recipe from a mapping; report every problem of every section at once.

    Args:
        problems: others that are known already.
    """
    content, lying_elsewhere = _with_whole_paths(content, Path.cwd())
    errors: list[InputError] = [*problems, *lying_elsewhere]
    recipe = None
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        errors += [_explained(problem) for problem in error.errors()]
    train = content.get("train")
    converted: dict[str, Any] = {}
    if isinstance(train, Mapping):
        for key, value in train.items():
            if not isinstance(key, str):
                continue  # told by pydantic
            try:
                converted[key] = _train_value(key, value)
            except RecipeError as problem:
                errors.append(problem)
    errors += _adapter_problems(content, converted.get("disable_dropout") is False)
    raise_all(errors)
    assert recipe is not None
    return recipe.model_copy(update={"train": converted})


def _adapter_problems(content: Mapping[str, Any], keeps_dropout: bool) -> Iterator[InputError]:
    """Find what is wrong with the adapters of the policy and of the reward models."""
    for place in ("train", "reward.train", "evaluate.heldout_reward"):
        section: Any = content
        for key in place.split("."):
            section = section.get(key) if isinstance(section, Mapping) else None
        if isinstance(section, Mapping):
            kept = keeps_dropout or place != "train"
            yield from lora_problems(section.get("lora"), f"{place}.lora", kept)


def _with_whole_paths(
    content: Mapping[str, Any], base: Path
) -> tuple[dict[str, Any], list[InputError]]:
    """Make the paths that begin at `base` whole, those in variants too."""
    paths = Paths(base)
    whole = whole_paths(content, paths)
    variants = (whole.get("compare") or {}) if isinstance(whole.get("compare"), dict) else {}
    for variant in (variants.get("variants") or {}).values():
        if isinstance(variant, dict) and isinstance(variant.get("overrides"), list):
            variant["overrides"] = [_whole_override(text, paths) for text in variant["overrides"]]
    return whole, paths.problems


def _is_replaced(problem: InputError, key: str) -> bool:
    """Whether an override of `key` puts something else in the place of what is wrong."""
    place = problem.given.partition(":")[0]
    return f"{place}.".startswith(f"{key}.") or key in (f"{place}.path", f"{place}.name")


def _whole_override(override: Any, paths: Paths) -> Any:
    """`section.key=value` with a path made whole; one that cannot be read is told later."""
    try:
        name, _, _ = str(override).partition("=")
        scratch: dict[str, Any] = {}
        _set(scratch, str(override))
    except RecipeError:
        return override
    value, whole = (_leaf(c, name) for c in (scratch, whole_paths(scratch, paths)))
    return override if value == whole else f"{name}={json.dumps(whole)}"


def _leaf(content: Any, name: str) -> Any:
    for key in name.split("."):
        content = content[key]
    return content


def _file_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path}", f"not readable: {error}", "save it as UTF-8") from error


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise RecipeError(f"recipe {name}", str(error), "correct it") from error
    if not isinstance(content, dict):
        raise RecipeError(
            f"recipe {name}", "it holds no sections", "see `neat recipe show hh_smollm2`"
        )
    return content


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in a recipe's content; a path begins where one stands."""
    _set(content, _whole_override(override, Paths(Path.cwd())))


def _set(content: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise RecipeError(
            f"override {override!r}",
            "it names no key" if equals else "it has no `=`",
            "write section.key=value, e.g. train.max_steps=100",
        )
    *parents, key = name.split(".")
    place = content
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        inner = place[parent]
        if isinstance(inner, str):  # `queries: file.jsonl` is short for {path: file.jsonl}
            whole = {SHORT_FOR.get(parent, "path"): inner}
            inner = place[parent] = reward_section(inner) if parent == "reward" else whole
        if not isinstance(inner, dict):
            raise RecipeError(
                f"override {override!r}", f"{parent} is not a section", "check the name"
            )
        place = inner
    try:
        place[key] = parse_yaml(text)
    except ValueError as error:
        raise RecipeError(f"override {override!r}", str(error), "quote the value") from error


def _train_value(key: str, value: Any) -> Any:
    if key == "lora":  # looked at as a whole
        return dict(value) if isinstance(value, Mapping) else None
    if key in OWNED:
        raise RecipeError(f"train.{key}", "another part of the recipe sets it", OWNED[key])
    fields = declared_fields()
    if key not in fields:
        raise unknown_setting(key, {*fields, "lora"} - set(OWNED), "train.")
    try:
        return convert(value, fields[key].annotation)
    except (ValueError, TypeError, OverflowError) as error:
        raise not_of_type(f"train.{key}", value, fields[key].annotation) from error


def _explained(problem: Any) -> InputError:
    """One pydantic problem in three parts."""
    place = ".".join(str(part) for part in problem["loc"]) or "the recipe"
    if problem["loc"] == ("steering",) and (
        problem["type"] == "missing" or problem.get("input") is None
    ):
        return no_steering("a recipe", "`steering:`")
    if problem["type"] == "extra_forbidden":
        known = _fields_at(problem["loc"][:-1])
        return RecipeError(place, "there is no such key", nearest(str(problem["loc"][-1]), known))
    given = problem.get("input")
    shown = f"{place}: {given!r}" if isinstance(given, str | int | float | bool) else place
    message = _plainly(problem)
    if problem["type"] in NO_SECTION:
        listed = f"`neat recipe keys {place}` lists them, with meaning and default"
        return RecipeError(shown, message, listed)
    return RecipeError(
        shown, message, "correct it; `neat recipe show hh_smollm2` shows a whole recipe"
    )


def _plainly(problem: Any) -> str:
    """Say what is wrong, without the words of the library that found it."""
    if problem["type"] == "missing":
        return "it is needed"
    if problem["type"] in NO_SECTION:
        return "a section with keys belongs here"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message.replace("Input should be", "it should be").replace("valid tuple", "list")


def _fields_at(place: Sequence[Any]) -> list[str]:
    """List the keys known at a place of the recipe."""
    section: type[BaseModel] = Recipe
    for part in place:
        if part in section.model_fields:
            section = _section_of(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
