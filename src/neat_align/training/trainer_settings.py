"""What is wrong with the Trainer's own settings, told without importing torch."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from neat_align.errors import InputError, RecipeError, nearest
from neat_align.storage.paths import is_file
from neat_align.training import trainer_fields as tables
from neat_align.training import trainer_names
from neat_align.training.declared import UNKNOWN, declared_fields
from neat_align.training.trl_names import setting_advice

SECRET = "hub_token"
OURS = ("chat_template_kwargs", "model_init_kwargs")


def trainer_problems(given: Mapping[str, Any]) -> list[InputError]:
    """Everything that can be known to be wrong; settings that are not given have their default."""
    fields = declared_fields()
    values = {name: field.default for name, field in fields.items()} | dict(given)
    changed = {
        name: value
        for name, value in given.items()
        if name in fields and fields[name].default is not UNKNOWN and value != fields[name].default
    }
    return [
        *_refused(changed),
        *_limits(given),
        *_choices(given),
        *_unread(changed, values),
        *_steps(values),
        *_scheduler(values),
        *_optimiser_arguments(values),
        *_libraries(values),
        *_best_model(values),
        *_files(values),
        *_contradictions(values),
    ]


def _refused(changed: Mapping[str, Any]) -> Iterator[InputError]:
    for name, value in changed.items():
        is_default = value is False and declared_fields()[name].default == "no"  # as parsers say it
        if name in tables.REFUSED and not is_default and not _is_made(name, value):
            why, fix = tables.REFUSED[name]
            yield RecipeError(f"{name}={value!r}", f"it would change nothing: {why}", fix)


def _is_made(name: str, value: Any) -> bool:
    """Whether it is what `TrainingArguments` makes of the default, when a config is copied."""
    return name == "accelerator_config" and type(value) not in (dict, str) and value == _new(value)


def _new(value: Any) -> Any:
    return type(value)()


def _limits(given: Mapping[str, Any]) -> Iterator[InputError]:
    for name, (low, high) in tables.LIMITS.items():
        value = given.get(name)
        if value is not None and not is_within(value, low, high):
            yield outside(name, value, low, high)
    for name, why in tables.ABOVE.items():
        value = given.get(name)
        if value is not None and not (is_within(value, 0, None) and value > 0):
            yield RecipeError(f"{name}={value}", why, "use a number above 0")
    for name in ("adam_beta1", "adam_beta2"):
        value = given.get(name)
        if value is not None and not (is_within(value, 0, 1) and value < 1):
            yield RecipeError(f"{name}={value}", "it is a share of the past", "use 0 to below 1")
    for name in tables.WHOLE:
        value = given.get(name)
        if is_within(value, 1, None) and value != int(value):
            why = "from 1 on it counts steps, below 1 it is a share of all"
            yield RecipeError(f"{name}={value}", why, f"use {int(value)}, or a share below 1")


def is_within(value: Any, low: float | None, high: float | None) -> bool:
    """Whether it is a finite number between two limits, None for no limit."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    if not abs(value) <= (sys.maxsize if isinstance(value, int) else sys.float_info.max):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def outside(name: str, value: Any, low: float | None, high: float | None) -> RecipeError:
    """Make the error of a number beyond its limits."""
    limits = "that is finite" if low is None else f"of at least {low}"
    limits = f"between {low} and {high}" if high is not None else limits
    return RecipeError(f"{name}={value}", "outside what it can mean", f"use a value {limits}")


def _choices(given: Mapping[str, Any]) -> Iterator[InputError]:
    for name, choices in trainer_names.CHOICES.items():
        for value in _names(given.get(name), name):
            if value not in choices():
                why = "there is none of that name"
                yield RecipeError(f"{name}={value!r}", why, nearest(value, choices()))


def _names(value: Any, setting: str) -> list[str]:
    """Split a setting into its names: one, several, or none; `debug` has them in one text."""
    if value is None or (value == "" and setting == "debug"):
        return []
    if isinstance(value, list | tuple):
        return [_name(v) for v in value]
    return _name(value).split() if setting == "debug" else [_name(value)]


def _name(value: Any) -> str:
    return str(getattr(value, "value", value))  # transformers' enumerations are texts too


def _unread(changed: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[InputError]:
    for name, value in changed.items():
        is_read, needs = tables.NEEDED.get(name, (None, ""))
        if is_read is not None and value is not None and not is_read(values):
            given = name if name == SECRET else f"{name}={value!r}"
            yield RecipeError(given, "nothing would read it", f"leave it out, or {needs}")


def _steps(values: Mapping[str, Any]) -> Iterator[InputError]:
    steps = values["max_steps"]
    if not isinstance(steps, int) or isinstance(steps, bool) or (steps != -1 and steps < 1):
        why = "without a step the policy stays untrained"
        fix = "use 1 or more, or leave it out to train for num_train_epochs"
        yield RecipeError(f"max_steps={steps}", why, fix)


def _scheduler(values: Mapping[str, Any]) -> Iterator[InputError]:
    """Arguments that the scheduler does not take, or lacks."""
    name, arguments = _name(values["lr_scheduler_type"]), values["lr_scheduler_kwargs"] or {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments) if _is_json_object(arguments) else {}
    known = trainer_names.SCHEDULER_KEYS.get(name)
    for key in arguments:
        if known is not None and key not in known:
            why = f"{name} takes no such argument"
            fix = nearest(str(key), known) if known else "leave it out"
            yield RecipeError(f"lr_scheduler_kwargs.{key}", why, fix)
    needed = trainer_names.SCHEDULER_NEEDS.get(name, ())
    if needed and not set(needed) & set(arguments):
        fix = f"give lr_scheduler_kwargs with {' or '.join(needed)}"
        yield RecipeError(f"lr_scheduler_type={name!r}", f"it needs {' or '.join(needed)}", fix)


def _optimiser_arguments(values: Mapping[str, Any]) -> Iterator[InputError]:
    """`optim_args` that nothing would read."""
    given = values["optim_args"]
    if not isinstance(given, str) or not given.strip():
        return
    known = trainer_names.OPTIMISER_KEYS.get(_name(values["optim"]))
    for part in given.replace(" ", "").split(","):
        key, equals, value = part.partition("=")
        if not key or not equals or not value or "=" in value:
            fix = "write name=value, and commas between several"
            yield RecipeError(f"optim_args={given!r}", f"{part!r} is no name=value", fix)
        elif known is not None and key not in known:
            why = f"{_name(values['optim'])} takes no such argument"
            yield RecipeError(f"optim_args={given!r}", f"{key}: {why}", nearest(key, known))


def unknown_setting(name: str, known: Iterable[str], prefix: str = "") -> RecipeError:
    """Make the error of an unknown setting, with what it may have meant."""
    fix = tables.RENAMED.get(name) or setting_advice(name) or nearest(name, known)
    return RecipeError(f"{prefix}{name}", "there is no such setting", fix)


def _libraries(values: Mapping[str, Any]) -> Iterator[InputError]:
    optimiser = _name(values["optim"])
    found = [b for b in trainer_names.OPTIMISER_MODULES if optimiser.startswith(b)]
    if found and optimiser in trainer_names.CHOICES["optim"]():
        yield from _missing(
            "optim", optimiser, (trainer_names.OPTIMISER_MODULES[max(found, key=len)],)
        )
    for name in _names(values["report_to"], "report_to"):
        if name == "all" and not any(map(_is_there, trainer_names.CHOICES["report_to"]()[2:])):
            why = "none of the libraries that logs may go to is installed here"
            yield RecipeError("report_to='all'", why, "install one, or leave report_to out")
        elif name in trainer_names.CHOICES["report_to"]()[2:]:
            yield from _missing("report_to", name, trainer_names.REPORT_MODULES.get(name, (name,)))
    if values["deepspeed"]:
        yield from _missing("deepspeed", "…", ("deepspeed",))
    if values["push_to_hub"] and os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true"):
        why = "HF_HUB_OFFLINE is set, so nothing can be pushed"
        yield RecipeError("push_to_hub=True", why, "unset it, or leave push_to_hub out")


def _is_there(name: str) -> bool:
    modules = trainer_names.REPORT_MODULES.get(name, (name,))
    return any(importlib.util.find_spec(module) for module in modules)


def _missing(setting: str, value: str, modules: tuple[str, ...]) -> Iterator[InputError]:
    if not any(importlib.util.find_spec(module) for module in modules):
        why = f"{' or '.join(modules)}, which it needs, is not installed here"
        fix = f"install {modules[0]}, or leave {setting} out"
        yield RecipeError(f"{setting}={value!r}", why, fix)


def _best_model(values: Mapping[str, Any]) -> Iterator[InputError]:
    """Check that a run that wants its best checkpoint saves and evaluates at the same steps."""
    saves, evaluates = _name(values["save_strategy"]), _name(values["eval_strategy"])
    if saves == "best" and not (values["metric_for_best_model"] and evaluates != "no"):
        why = "it saves where a metric of the evaluation is better than ever"
        fix = "set metric_for_best_model=eval/reward and eval_strategy=steps"
        yield RecipeError("save_strategy='best'", why, fix)
    if _name(values["lr_scheduler_type"]) in trainer_names.PLATEAU and evaluates == "no":
        given = f"lr_scheduler_type={_name(values['lr_scheduler_type'])!r}"
        why = "it looks at a metric of the evaluation, and there is none"
        yield RecipeError(given, why, "set eval_strategy=steps and metric_for_best_model")
    if not values["load_best_model_at_end"] or saves == "best" or evaluates == "no":
        return
    given = "load_best_model_at_end=True"
    if saves != evaluates:
        why = f"it saves by {saves!r} and evaluates by {evaluates!r}"
        yield RecipeError(given, why, "set save_strategy and eval_strategy to the same")
    elif saves == "steps" and not _is_multiple(
        values["save_steps"], values["eval_steps"] or values["logging_steps"]
    ):
        why = f"it saves every {values['save_steps']} steps, and not all of them are evaluated"
        yield RecipeError(given, why, "set save_steps to eval_steps, or a multiple of it")


def _is_multiple(number: Any, of: Any) -> bool:
    if not (is_within(number, 0, None) and is_within(of, 0, None) and of > 0):
        return True  # told already
    if (number < 1) != (of < 1):
        return False
    return math.isclose(number / of, round(number / of), rel_tol=1e-6)


def _files(values: Mapping[str, Any]) -> Iterator[InputError]:
    """Check settings that may be a file: it is there, and holds JSON; and where to write."""
    output = values["output_dir"]
    if isinstance(output, str) and not output.strip():
        why = "it names no directory"
        yield RecipeError(f"output_dir={output!r}", why, "name one, e.g. 'runs/mine'")
    for name in ("deepspeed", "fsdp_config"):
        value = values[name]
        if not isinstance(value, str):
            continue
        if not value.lstrip().startswith("{") and not is_file(value):
            yield RecipeError(f"{name}={value!r}", "there is no such file", "check the path")
    for name in ("lr_scheduler_kwargs", "activation_checkpointing_kwargs", *OURS):
        value = values.get(name)
        if isinstance(value, str) and not _is_json_object(value):
            fix = "write a mapping, e.g. {min_lr: 1.0e-7}"
            yield RecipeError(f"{name}={value!r}", "it is no mapping", fix)


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _contradictions(values: Mapping[str, Any]) -> Iterator[InputError]:
    if values["bf16"] and values["fp16"]:
        yield RecipeError("bf16 and fp16", "a forward pass has one precision", "keep one")
    if values["fsdp"] and values["deepspeed"]:
        yield RecipeError("fsdp and deepspeed", "each shards the weights", "keep one")
    if values["fsdp"] and int(os.environ.get("WORLD_SIZE", "1")) < 2:
        fix = "launch several (`neat launch show fsdp2`), or leave fsdp out"
        yield RecipeError(f"fsdp={values['fsdp']!r}", "there is one process, nothing to shard", fix)
