"""Whether this machine has the device and the precision that a recipe asks for.

Torch is imported only where the recipe names something that not every machine has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from neat_align.errors import InputError, RecipeError
from neat_align.models.device import device_name_problems, device_problems
from neat_align.recipe.schema import Recipe

FLAGS = {"bf16": "bfloat16", "fp16": "float16"}


def placement_problems(recipe: Recipe) -> list[InputError]:
    """Find what is wrong with `model.device`, `model.dtype` and the Trainer's flags for them."""
    device = recipe.model.device
    problems = device_name_problems(device) or list(_device(recipe))
    return problems or device_problems(recipe.device) or list(_precision(recipe))


def _device(recipe: Recipe) -> Iterator[InputError]:
    device = recipe.model.device
    if recipe.train.get("use_cpu") and device not in ("auto", "cpu"):
        given = f"train.use_cpu: true with model.device: {device}"
        yield RecipeError(given, "they name two devices", "leave one of them out")
    if recipe.train.get("use_cpu") is False and device == "cpu":
        given = "train.use_cpu: false with model.device: cpu"
        yield RecipeError(given, "they name two devices", "leave one of them out")
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ":" in device and ranks > 1:
        given = f"model.device: {device} in {ranks} processes"
        yield RecipeError(given, "each process has a GPU of its own", "write model.device: cuda")


def _precision(recipe: Recipe) -> Iterator[InputError]:
    dtype = recipe.model.dtype
    asked = {f"train.{name}: true": FLAGS[name] for name in FLAGS if recipe.train.get(name)}
    dtypes = set(asked.values())
    if len(dtypes) > 1:
        return  # told with the Trainer's other settings
    if dtype in ("bfloat16", "float16"):
        dtypes.add(dtype)
    if len(dtypes) > 1:
        given = " with ".join([*asked, f"model.dtype: {dtype}"])
        yield RecipeError(given, "they name two precisions", "leave one of them out")
    elif dtypes:
        given = next(iter(asked), f"model.dtype: {dtype}")
        yield from _lacking(recipe, dtypes.pop(), given)


def _lacking(recipe: Recipe, dtype: str, given: str) -> Iterator[InputError]:
    """Find a precision that the recipe's device does not train in."""
    if dtype == "bfloat16" and (recipe.device == "cpu" or not given.startswith("train")):
        return
    import torch

    if torch.cuda.is_available() and recipe.device != "cpu":
        if dtype == "bfloat16" and not torch.cuda.is_bf16_supported():
            yield RecipeError(given, "this GPU does not compute in it", "remove it")
        return
    fix = "remove it: float32 is the default here"
    if dtype == "bfloat16":
        fix += "; or add train.use_cpu=true to emulate it"
    yield RecipeError(given, "this machine has no GPU with that precision", fix)
