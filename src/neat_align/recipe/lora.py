"""A `lora` section: what its keys may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neat_align.errors import InputError, RecipeError, nearest

LORA_KEYS = (
    "r", "alpha", "dropout", "target_modules", "modules_to_save", "bias", "rslora", "dora",
)  # fmt: skip
NAMES = {
    "rank": "r", "lora_alpha": "alpha", "lora_dropout": "dropout", "use_dora": "dora",
    "use_rslora": "rslora",
}  # fmt: skip
"""What peft and people call them."""
BIASES = ("none", "all", "lora_only")


def lora_problems(
    value: Any, place: str = "train.lora", keeps_dropout: bool = False
) -> Iterator[InputError]:
    """Everything that is wrong with the section at `place`; None leaves it out.

    Args:
        keeps_dropout: dropout is not switched off there, as `train.disable_dropout` does.
    """
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield RecipeError(f"{place}: {value!r}", "it is no section", "write lora: {r: 16}")
        return
    for key, given in value.items():
        shown = f"{place}.{key}: {given!r}"
        if key not in LORA_KEYS:
            why = "there is no such setting"
            known = NAMES.get(str(key))
            fix = f"write {known}" if known else nearest(str(key), LORA_KEYS)
            yield RecipeError(f"{place}.{key}", why, fix)
        elif wanted := _wanted(key, given):
            yield RecipeError(shown, f"it is not {wanted}", "correct the value")
        elif key == "dropout" and float(given) > 0 and not keeps_dropout:
            fix = "set train.disable_dropout=false, too, or leave it out"
            yield RecipeError(shown, "dropout is switched off in training", fix)


def _wanted(key: str, given: Any) -> str:
    """Say what a value should be; "" if it is that already."""
    if key == "r":
        return "" if _number(given, 1) and float(given) == int(float(given)) else "1 or more"
    if key == "alpha":
        return "" if _number(given) and float(given) > 0 else "a number above 0"
    if key == "dropout":
        return "" if _number(given, 0) and float(given) < 1 else "a share below 1"
    if key == "bias":
        return "" if given in BIASES else f"one of {', '.join(BIASES)}"
    if key in ("rslora", "dora"):
        return "" if isinstance(given, bool) else "true or false"
    if given is None and key == "modules_to_save":
        return ""
    if isinstance(given, str) and key == "target_modules" and given:
        return ""
    listed = isinstance(given, list) and given and all(isinstance(n, str) and n for n in given)
    return "" if listed else "a list of names"


def _number(given: Any, least: float = float("-inf")) -> bool:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return False
    try:
        return least <= float(given) < float("inf")
    except (ValueError, OverflowError):
        return False
