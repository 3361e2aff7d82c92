"""What a training's settings may be, told without importing torch.

`NEATConfig` asks here when it is made, and a recipe before anything is loaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from neat_align.config import LIMITS
from neat_align.errors import InputError, RecipeError, nearest
from neat_align.prompts.steering import Steering
from neat_align.servers.client import url_problems
from neat_align.training.declared import declared_fields
from neat_align.training.trainer_settings import is_within, outside, trainer_problems

SERVED = ("vllm-server", "adapter-server")
ENGINES = ("vllm", *SERVED)
NEEDED = {"vllm": ("trl", "vllm"), "vllm-server": ("trl", "vllm"), "adapter-server": ()}
"""Engine → the modules that it needs here."""


def setting_problems(values: Mapping[str, Any]) -> list[InputError]:
    """Everything that is wrong with settings; those that are not given have their default."""
    problems: list[InputError] = []
    for name, (low, high) in LIMITS.items():
        value = values.get(name)
        if value is not None and not is_within(value, low, high):
            problems.append(outside(name, value, low, high))
    stop_strings = values.get("stop_strings") or ()
    if "" in stop_strings:
        given = f"stop_strings={stop_strings}"
        problems.append(RecipeError(given, "every response holds the empty string", "leave it out"))
    problems += _engine_problems(values.get("engine"), values.get("engine_url"))
    return [*problems, *_unread(values), *trainer_problems(values)]


def context_needs(negative_context: float, steering: Steering | None) -> list[InputError]:
    """Refuse to put negative prompts before queries where a pair has none."""
    if not negative_context or steering is None or steering.negative:
        return []
    return [
        RecipeError(
            f"negative_context={negative_context:g} with steering {steering.name!r}",
            "it puts a negative prompt before queries, and the pair has only phrasings of other "
            "channels",
            "give the pair a negative prompt, or set negative_context=0 (in a recipe "
            "train.negative_context=0)",
        )
    ]


def _unread(values: Mapping[str, Any]) -> Iterator[InputError]:
    """Report settings of online groups that nothing would read beside the others."""
    fields = declared_fields()
    unread = {
        "reference_negative_fraction": (values.get("negative_samples") == 0, "negative_samples"),
        "resample_groups": (
            values.get("positive_samples") == values.get("negative_samples") == 0,
            "positive_samples or negative_samples",
        ),
        "reward_deviations": (
            values.get("reward_combine") != "lower_bound",
            "reward_combine='lower_bound'",
        ),
        "engine_gpu_memory": (values.get("engine") != "vllm", 'engine="vllm"'),
        "engine_tolerance": (values.get("engine") is None, "engine"),
    }
    for name, (is_unread, needs) in unread.items():
        if is_unread and values.get(name, fields[name].default) != fields[name].default:
            given = f"{name}={values[name]}"
            yield RecipeError(given, "nothing would read it", f"leave it out, or set {needs}")


def _engine_problems(engine: str | None, url: str | None) -> list[InputError]:
    """Report an unknown engine, a part that is missing, a server without its address."""
    given = f"engine={engine!r}"
    if engine is not None and engine not in ENGINES:
        return [RecipeError(given, "there is none of that name", nearest(str(engine), ENGINES))]
    problems: list[InputError] = []
    missing = [n for n in NEEDED.get(engine or "", ()) if importlib.util.find_spec(n) is None]
    if missing:
        why = f"{' and '.join(missing)}, which it needs, is not installed here"
        fix = "pip install 'neat-align[vllm]', on a machine with GPUs"
        problems.append(RecipeError(given, why, fix))
    if engine in SERVED and url is None:
        problems.append(RecipeError(given, "it is a server without an address", "give engine_url"))
    if engine not in SERVED and url is not None:
        fix = f"set engine to one of {', '.join(SERVED)}, or leave engine_url out"
        problems.append(RecipeError(f"engine_url with {given}", "no server is asked", fix))
    return problems + (url_problems(str(url)) if url is not None else [])
