"""Every key of a recipe with its kind, default and meaning, from what declares it.

Our sections are pydantic classes whose docstrings say what each key means; the training's
keys are read from source, since importing it would take seconds.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from neat_align import defaults
from neat_align.config import LIMITS, SETTINGS, NEATSettings, help_of
from neat_align.objectives import OBJECTIVES
from neat_align.recipe.data_and_model import Data
from neat_align.recipe.lora import LORA_KEYS
from neat_align.recipe.schema import Recipe
from neat_align.recipe.train_fields import OWNED
from neat_align.scoring.named.judge import ServerJudge
from neat_align.training.declared import UNKNOWN, declared_fields
from neat_align.training.objective_choice import DEFAULT, objective_parameters
from neat_align.training.trainer_fields import REFUSED

REQUIRED = "required"
HOME: dict[type, str] = {Data: "queries"}
"""Section → the key under which its own keys are listed, where that is not the first."""
WORDS = {
    str: "text", int: "whole number", float: "number", bool: "true or false", Any: "",
    dict: "mapping", list: "list", tuple: "list",
}  # fmt: skip
STEERING = {
    "name": "of a built-in pair, whose texts are then taken; or how a pair of your own is called",
    "negative": "sentences that order what must not be: 'Be rude.', not 'Never be rude.'",
    "positive": "sentences that order what is wanted",
    "held_back": "{positive: […], negative: […]}: phrasings for the evaluation only",
    "try_queries": "queries that the pair is tried on before the first step; 0: none",
}
LORA = {
    "r": "rank of the adapter",
    "alpha": "its scale, over the rank",
    "dropout": "of the adapter's input",
    "target_modules": "which layers get one: names, or all-linear",
    "modules_to_save": "layers that are trained whole beside it",
    "bias": "biases that are trained, too: none, all, lora_only",
    "rslora": "its scale over the root of the rank",
    "dora": "magnitude and direction apart (DoRA)",
}
LORA_DEFAULTS = {
    "r": defaults.LORA_RANK, "alpha": defaults.LORA_ALPHA, "dropout": defaults.LORA_DROPOUT,
    "target_modules": "all-linear", "modules_to_save": None, "bias": "none", "rslora": False,
    "dora": False,
}  # fmt: skip
TRAINER = {
    "learning_rate": "the highest rate of the optimiser",
    "max_steps": "optimiser steps; −1: num_train_epochs counts",
    "num_train_epochs": "passes over the queries, where max_steps is not set",
    "per_device_train_batch_size": "groups of a micro-batch, on each device",
    "gradient_accumulation_steps": "micro-batches of an optimiser step",
    "lr_scheduler_type": "how the rate falls: linear, cosine, constant …",
    "warmup_steps": "steps over which the rate rises; below 1 a share of them",
    "weight_decay": "of the optimiser",
    "max_grad_norm": "gradients are scaled down to this norm; 0: never",
    "bf16": "passes in bfloat16, where the device has it",
    "gradient_checkpointing": "less memory for a second forward pass",
    "use_cpu": "train on the CPU even where there is a GPU",
    "save_steps": "steps between two checkpoints",
    "save_total_limit": "checkpoints to keep; the last ones",
    "eval_strategy": "when held-out groups are measured in training: no, steps, epoch",
    "eval_steps": "steps between two of these measurements",
}
"""The keys of transformers' Trainer that a run of ours most likely sets, in our words."""


@dataclass(frozen=True)
class Key:
    """One key, e.g. sample.temperature.

    Attributes:
        foreign: it is transformers', not ours, and rarely wanted.
    """

    name: str
    kind: str
    default: str
    meaning: str
    foreign: bool = False


def recipe_keys() -> list[Key]:
    """All keys, section by section."""
    return [*_section_keys(Recipe, "", {})]


def matching_keys(word: str = "") -> list[Key]:
    """List the keys of a section or with a word in their names; all of our own for none."""
    known = recipe_keys()
    if not word:
        return [key for key in known if not key.foreign]
    return [key for key in known if word in key.name]


def as_markdown() -> str:
    """docs/recipe-keys.md."""
    ours = [key for key in recipe_keys() if not key.foreign]
    sections: dict[str, list[Key]] = {}
    for key in ours:
        sections.setdefault(key.name.partition(".")[0], []).append(key)
    single = [keys[0] for keys in sections.values() if len(keys) == 1]
    lines = [
        "# The keys of a recipe",
        "",
        "Written by `neat recipe keys --markdown`, which reads them from the code. On the command "
        "line a key is set as `sample.temperature=0.7`. `train` also takes every other field of "
        "transformers' `TrainingArguments`; `neat recipe keys train` lists them as your version "
        "has them. An unknown key is refused, with the nearest one.",
        "",
        "## At the top",
        *_table(single),
    ]
    for name, keys in sections.items():
        if len(keys) > 1:
            lines += ["", f"## {name}", *_table(keys)]
    return "\n".join(lines) + "\n"


def _table(keys: list[Key]) -> list[str]:
    rows = [f"| `{k.name}` | {k.kind} | {k.default} | {k.meaning} |" for k in keys]
    escaped = [row.replace("\\|", "|") for row in rows]
    return ["", "| key | kind | default | meaning |", "|---|---|---|---|", *escaped]


def _section_keys(section: type[BaseModel], prefix: str, seen: dict[type, str]) -> Iterator[Key]:
    """List the keys of a section; one that stands elsewhere, too, where it comes first."""
    meanings = attributes(section.__doc__ or "")
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        inner = _inner_section(field.annotation)
        meaning = field.description or meanings.get(name, "")
        if inner is None:
            yield Key(key, _kind(field), _default(field), meaning)
        elif seen.get(inner, HOME.get(inner, key)) != key:
            like = f"keys as in `{seen.get(inner, HOME.get(inner))}`"
            yield Key(key, _kind(field), _default(field), f"{meaning} ({like})")
        else:
            yield Key(key, "section", _default(field), meaning)
            seen[inner] = key
            named = ".NAME" if typing.get_origin(field.annotation) is dict else ""
            yield from _section_keys(inner, f"{key}{named}.", seen)
        if not prefix or key == "reward.judge":
            yield from _free_keys(key)


def _free_keys(section: str) -> Iterator[Key]:
    """List the keys of sections that are plain mappings to the schema."""
    if section == "steering":
        for name, meaning in STEERING.items():
            default = str(NEATSettings.steering_try_queries) if name == "try_queries" else ""
            yield Key(f"steering.{name}", "", default, meaning)
    elif section == "reward.judge":
        meanings = attributes(ServerJudge.__doc__ or "")
        for name, field in ServerJudge.__dataclass_fields__.items():
            if field.init and name in meanings:
                own = field.default
                default = _shown(own) if isinstance(own, str | int) else REQUIRED
                yield Key(f"reward.judge.{name}", "", default, meanings[name])
    elif section == "objective":
        yield from _objective_keys()
    elif section == "train":
        yield from _train_keys()


def _objective_keys() -> Iterator[Key]:
    told = "a page for each: docs/methods/; or one's own, file.py:Name"
    yield Key("objective.name", ", ".join(OBJECTIVES), DEFAULT, told)
    hints = objective_parameters(OBJECTIVES[DEFAULT])
    for own in fields(OBJECTIVES[DEFAULT]):  # type: ignore[arg-type]
        kind, meaning = _words(hints[own.name]), f"of {DEFAULT}; see docs/methods/{DEFAULT}.md"
        yield Key(f"objective.{own.name}", kind, _shown(own.default), meaning)


def _train_keys() -> Iterator[Key]:
    declared = declared_fields()
    own = [name for name in SETTINGS if help_of(name)]
    for name in own:
        if name not in OWNED:
            yield _train_key(name, declared[name].help)
    for name, meaning in TRAINER.items():
        if name in declared:
            yield _train_key(name, meaning)
    yield Key("train.lora", "section", "none", "train adapters instead of all weights: {} will do")
    for name in LORA_KEYS:
        yield Key(f"train.lora.{name}", "", _shown(LORA_DEFAULTS.get(name, "")), LORA[name])
    listed = {*OWNED, *TRAINER, *own, *REFUSED}
    for name, field in declared.items():
        if name not in listed:
            yield _train_key(name, field.help, foreign=True)


def _train_key(name: str, meaning: str, foreign: bool = False) -> Key:
    field = declared_fields()[name]
    default = "" if field.default is UNKNOWN else _shown(field.default)
    low, high = LIMITS.get(name, (None, None))
    limits = [f"from {low:g}"] if low is not None else []
    limits += [f"up to {high:g}"] if high is not None else []
    kind = ", ".join([_plain_kind(field.annotation), *limits])
    return Key(f"train.{name}", kind, default, meaning, foreign)


def attributes(docstring: str) -> dict[str, str]:
    """Read the "Attributes:" of a docstring, by name; "a, b: text" says it of both."""
    _, _, part = cleandoc(docstring).partition("Attributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in part.splitlines():
        if line and not line.startswith(" "):
            break
        head = re.match(r"    (\w+(?:, \w+)*): (.*)", line)
        if head:
            names = head[1].split(", ")
            found |= dict.fromkeys(names, head[2])
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: text.rstrip(".") for name, text in found.items()}


def _inner_section(annotation: Any) -> type[BaseModel] | None:
    kinds = [annotation, *typing.get_args(annotation)]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _kind(field: FieldInfo) -> str:
    """In words: "number, from 0, up to 1"."""
    limits = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}
    told = [
        f"{word} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, word in limits.items()
        if hasattr(limit, name)
    ]
    return ", ".join([*filter(None, [_words(field.annotation)]), *told])


def _words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(map(str, arguments))
    if origin in (typing.Union, types.UnionType):
        words = [_words(part) for part in arguments if part is not type(None)]
        return " or ".join(dict.fromkeys(filter(None, words)))
    if _inner_section(annotation):
        return "section"
    return WORDS.get(origin or annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    return "" if isinstance(value, BaseModel) else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain_kind(annotation: str) -> str:
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    parts = [part for part in annotation.split(" | ") if part != "None"]
    parts = [part for part in parts if part[0].islower() or part == parts[-1]]  # no class names
    return " or ".join(dict.fromkeys(names.get(p, "list" if "[" in p else p) for p in parts))
