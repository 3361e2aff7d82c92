"""Turn each argument of `NEATTrainer` into what it works with, or say why it cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import TrainingArguments

from neat_align.errors import (
    InputError,
    ModelError,
    RecipeError,
    SeveralErrors,
    nearest,
    raise_all,
)
from neat_align.objectives import NEAT, Objective
from neat_align.scoring import resolve_scorer
from neat_align.training.config import NEATConfig
from neat_align.training.given_objects import object_problems
from neat_align.training.objective_choice import (
    DEFAULT,
    is_own,
    make_objective,
    objective_problems,
    own_problems,
    with_arguments,
)
from neat_align.training.records import Records, evaluation_sets
from neat_align.training.trl_configs import other_settings

T = TypeVar("T")


class Collected:
    """Collect everything that is wrong with arguments, to raise it together."""

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    def of(self, make: Callable[..., T], *given: Any) -> T | None:
        """Make something of an argument; keep the error and return None where that fails."""
        try:
            return make(*given)
        except SeveralErrors as several:
            self.errors += several.errors
        except InputError as error:
            self.errors.append(error)
        return None


def model_problems(model: Any) -> Iterator[InputError]:
    """Yield an error for what is no causal language model, as far as shows without loading it."""
    if isinstance(model, str | Path):
        return  # looked at where it is loaded
    fix = "give a directory, a hub id, or AutoModelForCausalLM.from_pretrained(…)"
    if isinstance(model, type) or not hasattr(model, "forward") or not hasattr(model, "config"):
        name = model.__name__ if isinstance(model, type) else type(model).__name__
        yield ModelError(f"a model of type {name}", "it is no language model", fix)
    elif getattr(model, "get_output_embeddings", lambda: True)() is None:
        why = "it has no head that predicts tokens, so it can answer nothing"
        yield ModelError(f"a model of type {type(model).__name__}", why, fix)
    else:
        yield from object_problems(model)


def settings_of(given: Any, model: Any) -> NEATConfig:
    """Read the settings: a `NEATConfig`, a mapping of its fields, or None for the defaults.

    Without any, output goes to a directory called like the model, with "-NEAT" behind it.

    Raises:
        RecipeError: something else, `TrainingArguments` included: which of their values are
            wanted and which are only their defaults, they do not tell.
    """
    if isinstance(given, NEATConfig):
        given.check()
        return given
    if given is None or isinstance(given, Mapping):
        return NEATConfig(
            **{"output_dir": f"{Path(name_of(model) or 'model').name}-NEAT"} | dict(given or {})
        )
    if isinstance(given, TrainingArguments):
        raise other_settings(given)
    fix = "give NEATConfig(output_dir=…, …), which takes every field of TrainingArguments"
    if isinstance(given, str | Path):
        fix = f"give NEATConfig(output_dir={str(given)!r})"
    raise RecipeError(f"args of type {type(given).__name__}", "they are no NEATConfig", fix)


def objective_of(given: Any) -> Objective:
    """Read the objective: one, its class, its name, "file.py:Name", a mapping; NEAT for None.

    Raises:
        RecipeError: there is none of that name, or it does not take such parameters.
    """
    if given is None:
        return NEAT()
    if isinstance(given, str):
        return objective_of({"name": given})
    if isinstance(given, Mapping):
        name = str(given.get("name", DEFAULT))
        section = {**given, "name": name if is_own(name) else name.lower()}
        raise_all([*objective_problems(section), *own_problems(section)])
        return make_objective(section)
    if isinstance(given, type):
        return with_arguments(given, {}) if issubclass(given, Objective) else _no_objective(given)
    return given if _is_objective(given) else _no_objective(given)


def _is_objective(given: Any) -> bool:
    return callable(given) and hasattr(given, "needs_reference") and hasattr(given, "name")


def _no_objective(given: Any) -> Objective:
    raise RecipeError(
        f"an objective of type {type(given).__name__}",
        "it is no objective: it does not say what it needs of the groups",
        "give NEAT(), DPO(beta=0.1) …, a name, or a subclass of neat_align.objectives.Objective",
    )


def rewards_of(given: Any, weights: Sequence[float] | None) -> list[Any]:
    """List the rewards; where there are weights, check that each reward has a finite one.

    Raises:
        RecipeError: an empty place, or weights that do not fit.
    """
    rewards = list(given) if isinstance(given, list | tuple) else [given] * (given is not None)
    if any(reward is None for reward in rewards):
        why = "one of them is None"
        raise RecipeError("reward_funcs", why, "leave it out of the list")
    if weights is None:
        return rewards
    if isinstance(weights, str | bytes) or not isinstance(weights, Sequence):
        why = "they are no list of numbers"
        raise RecipeError(f"reward_weights={weights!r}", why, "give one number for each reward")
    if len(weights) != len(rewards):
        given_ = f"{len(weights)} reward_weights for {len(rewards)} reward_funcs"
        raise RecipeError(given_, "each reward needs one weight", "give one number for each")
    if not all(isinstance(w, int | float) and math.isfinite(w) for w in weights):
        why = "a weight is a finite number"
        raise RecipeError(f"reward_weights={list(weights)}", why, "correct it")
    return rewards


def with_tokenizers(rewards: list[Any], given: Any) -> list[Any]:
    """Give reward models that are modules their tokenizers (TRL's `reward_processing_classes`).

    Args:
        given: one for a single reward, or a list with one for each, None for those that
            bring their own.

    Raises:
        RecipeError: not one for each, or one for a reward that would not read it.
    """
    if given is None:
        return rewards
    tokenizers = list(given) if isinstance(given, list | tuple) else [given]
    if len(tokenizers) != len(rewards):
        counts = f"{len(tokenizers)} reward_processing_classes for {len(rewards)} reward_funcs"
        why = "each reward has its own"
        raise RecipeError(counts, why, "give a list with one for each, None for functions")
    return [_with_tokenizer(*pair) for pair in zip(rewards, tokenizers, strict=True)]


def _with_tokenizer(reward: Any, tokenizer: Any) -> Any:
    if tokenizer is None:
        return reward
    if not isinstance(reward, torch.nn.Module):
        given = f"reward_processing_classes for {getattr(reward, '__name__', reward)!r}"
        why = "functions read no tokenizer, and a model that is named brings its own"
        raise RecipeError(given, why, "give None there")
    return resolve_scorer(reward, tokenizer)


def adapter_of(given: Any) -> Any:
    """Read the adapter's config: peft's own, or a mapping of its fields (LoRA's by default).

    Raises:
        RecipeError: something else, or fields that the adapter does not have.
    """
    from peft import LoraConfig, PeftConfig, get_peft_config

    if given is None or isinstance(given, PeftConfig):
        return given
    if not isinstance(given, Mapping):
        why = "it is no config of an adapter"
        fix = "give LoraConfig(r=16), or {'r': 16}"
        raise RecipeError(f"peft_config of type {type(given).__name__}", why, fix)
    known = LoraConfig.__dataclass_fields__
    unknown = [name for name in given if name not in known]
    if "peft_type" not in given and unknown:
        raise RecipeError(
            f"peft_config: {', '.join(map(repr, unknown))}",
            "LoraConfig has no such field",
            nearest(str(unknown[0]), known),
        )
    defaults = {"task_type": "CAUSAL_LM"}
    if "target_modules" not in given:
        defaults["target_modules"] = "all-linear"
    try:
        if "peft_type" in given:
            return get_peft_config({**defaults, **given})
        return LoraConfig(**{**defaults, **given})
    except (KeyError, TypeError, ValueError) as error:
        given_ = f"peft_config={dict(given)}"
        raise RecipeError(given_, str(error), "correct it, or give a LoraConfig") from error


def callbacks_of(given: Any) -> list[Any]:
    """List the callbacks.

    Raises:
        RecipeError: something among them is none.
    """
    from transformers import TrainerCallback

    several = list(given) if isinstance(given, list | tuple) else [given] * (given is not None)
    for one in several:
        if not issubclass(one if isinstance(one, type) else type(one), TrainerCallback):
            why = "it is no TrainerCallback"
            fix = "subclass transformers.TrainerCallback, and give an instance"
            raise RecipeError(f"a callback of type {type(one).__name__}", why, fix)
    return several


def queries_needed(args: NEATConfig | None) -> int | None:
    """Count the rows of a stream that max_steps needs; None where epochs are counted."""
    if args is None or args.max_steps < 1:
        return None
    batches = args.gradient_accumulation_steps * args.world_size
    return args.max_steps * args.per_device_train_batch_size * batches


def datasets_of(
    train: Any, evaluation: Any, args: NEATConfig | None, problems: Collected
) -> tuple[Records, Records | dict[str, Records] | None]:
    """Read the data sets as records."""
    trained = problems.of(Records, train, "train_dataset", queries_needed(args))
    held_out = problems.of(evaluation_sets, evaluation)
    return trained if trained is not None else Records(()), held_out


def name_of(model: Any) -> str:
    """Return a model's directory or hub id, "" where it has none."""
    if isinstance(model, str | Path):
        return str(model)
    return str(getattr(getattr(model, "config", None), "_name_or_path", "") or "")


def tokenizer_of(given: Any, model: Any, revision: str | None = None) -> Any:
    """Read the tokenizer: one, the name of one, or None for that of the model.

    Raises:
        ModelError: there is none, or it is something else.
    """
    from neat_align.models import load_tokenizer

    if given is None and not name_of(model):
        why = "the model does not tell where it came from, so its tokenizer cannot be loaded"
        raise ModelError("no processing_class", why, "give the tokenizer as processing_class")
    if given is None or isinstance(given, str | Path):
        if given is not None:
            return load_tokenizer(given)
        return load_tokenizer(name_of(model), revision)
    inner = getattr(given, "tokenizer", given)  # a processor of texts and pictures has one
    if not hasattr(inner, "eos_token_id") or not callable(inner):
        why = "it is no tokenizer"
        fix = "give AutoTokenizer.from_pretrained(…), a directory or a hub id"
        raise ModelError(f"processing_class of type {type(given).__name__}", why, fix)
    return inner


def reference_of(given: Any) -> Any:
    """Read the reference model: one, or the name of one, which is loaded.

    Raises:
        ModelError: there is none of that name, or it is something else.
    """
    if isinstance(given, str | Path):
        from neat_align.models import load_causal_lm

        return load_causal_lm(given, "float32", "cpu")
    for problem in model_problems(given) if given is not None else ():
        raise ModelError(f"reference_model: {problem.given}", problem.why, problem.fix)
    return given
