"""From what a user gives as a reward to a scorer: checked, made, and given what it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from inspect import signature
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RewardError, raise_all
from neat_align.models import AUTO, check_model_source
from neat_align.models.kinds import kind_problems
from neat_align.scoring.base import Bound, NamedScorer, Need, Scorer
from neat_align.scoring.functions import RewardFunction
from neat_align.scoring.registry import by_name
from neat_align.scoring.user_code import function_problems, is_scorer, load_function, no_file
from neat_align.storage.paths import is_file

LACKS = {
    Need.POLICY: ("the policy that is trained", "use it in training, online"),
    Need.REFERENCE: ("the reference model", "give --reference MODEL, or use it in training"),
    Need.STEERING: ("a steering pair", "give one with --steering"),
    Need.DATA_ANSWERS: ("the answers of the data", "set add_data_responses"),
}
"""What a scorer waits for in vain, and what to do."""


def resolve_scorer(
    value: Any, tokenizer: Any = None, device: Any = AUTO, dtype: str | None = AUTO
) -> Scorer:
    """Make a scorer from a scorer, function, module, or the name of one.

    One that needs a policy, a reference or a steering pair is given it by `bind_scorer`.

    Args:
        value: a scorer; a callable in TRL's signature; an `nn.Module` (give its
            `tokenizer`); a named scorer (`neat scorer list`), NAME or NAME=ARGUMENT;
            "module:function"; "file.py:function"; or a model directory or hub id.
        tokenizer: of a module.
        device, dtype: of a model that is loaded by its name; see `models.device`.

    Raises:
        RewardError, ModelError: there is no such thing.
    """
    if isinstance(value, str | Path):
        return _of_text(str(value), device, dtype)
    if isinstance(value, type):
        raise RewardError(
            f"the class {value.__name__} as a reward",
            "a class scores nothing until one of it is made",
            f"give {value.__name__}(…)",
        )
    if is_scorer(value):
        return value
    if _is_module(value) and not _takes_completions(value):
        return _module(value, tokenizer)
    if callable(value):
        return RewardFunction(value)
    raise RewardError(
        f"a reward of type {type(value).__name__}",
        "it is no scorer, function, module or name",
        'give a function in TRL\'s signature, a model id, "file.py:function" or "polarity"',
    )


def bind_scorer(scorer: Scorer, bound: Bound) -> Scorer:
    """Give a scorer what it needs; one that needs nothing stays as it is.

    Raises:
        RewardError: something that it needs is not there; all problems at once.
    """
    raise_all(unmet_problems([scorer], bound.has))
    bind = getattr(scorer, "bind", None)
    return bind(bound) if needs_of(scorer) and bind is not None else scorer


def needs_of(value: Any) -> frozenset[Need]:
    """Tell what a reward needs; a user's file is imported for it, no model is loaded."""
    declared = _declared(value)
    return frozenset(need for need in Need if getattr(declared, f"needs_{need}", False))


def unmet_problems(values: Iterable[Any], has: Collection[Need]) -> list[InputError]:
    """Tell what rewards need and there is not; for after `import_problems`."""
    problems: list[InputError] = []
    for value in values:
        name = value if isinstance(value, str) else getattr(value, "name", "")
        for need in sorted(needs_of(value) - set(has)):
            what, fix = LACKS[need]
            why = f"it needs {what}, and here is none"
            problems.append(RewardError(f"reward {str(name)[:80]!r}", why, fix))
    return problems


def is_outside(value: Any) -> bool:
    """Tell whether a reward can judge an evaluation: no model's opinion of itself.

    Nor what needs the policy, the reference or the data's answers: these are not there.
    """
    return needs_of(value) <= {Need.STEERING} and not getattr(_declared(value), "own_opinion", 0)


def check_scorer_value(
    value: str, columns: Collection[str] | None = None, reward: bool = True
) -> list[InputError]:
    """Tell what is wrong with a named reward, without importing or loading anything.

    Args:
        columns: of the queries, which a function may ask for; None where they are not known.
        reward: False for a function that is not called as a reward function is.
    """
    named = by_name(value)
    if named is not None:
        return [*named.problems(), *_column_problems(named.kind, columns)]
    return function_problems(value, columns, reward) if ":" in value else _model_problems(value)


def _column_problems(kind: type[NamedScorer], columns: Collection[str] | None) -> list[InputError]:
    """Tell which columns of the queries a named scorer reads in vain."""
    missing = [] if columns is None else [c for c in kind.columns if c not in columns]
    return [
        RewardError(
            f"reward {kind.name!r} on queries without a column `{column}`",
            "it reads that column of every query",
            f"add `{column}` to the rows, or name yours under queries.columns",
        )
        for column in missing
    ]


def import_problems(values: Iterable[str]) -> list[InputError]:
    """Tell what goes wrong when the functions among named rewards are imported.

    This runs the user's files: for after the other checks, and before any model is loaded.
    """
    problems: list[InputError] = []
    for value in dict.fromkeys(values):
        named = by_name(value)
        function = str(named.argument) if named and named.names_model else value
        if ":" not in function or (named and not named.names_model):
            continue
        try:
            load_function(function)
        except InputError as error:
            problems.append(error)
    return problems


def loads_model(value: str) -> bool:
    """Tell whether a model is loaded for a named reward."""
    named = by_name(value)
    model = value if named is None else str(named.argument) if named.names_model else ""
    return bool(model) and ":" not in model


def _declared(value: Any) -> Any:
    """Find what carries a reward's declarations: its class, or the user's object."""
    if not isinstance(value, str | Path):
        return value
    named = by_name(str(value))
    if named is not None:
        return named.kind
    return load_function(str(value)) if ":" in str(value) else None


def _of_text(value: str, device: Any, dtype: str | None) -> Scorer:
    named = by_name(value)
    if named is not None:
        raise_all(named.problems())
        return named.make(device, dtype)
    if ":" in value:
        return _of_function(value)
    from neat_align.scoring.reward_model import RewardModelScorer

    return RewardModelScorer.from_pretrained(value, device, dtype)


def _is_module(value: Any) -> bool:
    import torch

    return isinstance(value, torch.nn.Module)


def _of_function(value: str) -> Scorer:
    """Make a scorer of what a file defines: a function, a whole scorer, or a module."""
    found = load_function(value)
    where, _, name = value.rpartition(":")
    if is_scorer(found) or _is_module(found):
        return resolve_scorer(found)
    file = str(Path(where).absolute()) if where.endswith(".py") else None
    return RewardFunction(found, getattr(found, "__name__", None) or name, file)


def _takes_completions(module: Any) -> bool:
    """Tell whether a module is called as a reward function is, and not as a reward model."""
    return not hasattr(module, "config") and "completions" in signature(module.forward).parameters


def _module(value: Any, tokenizer: Any) -> Scorer:
    from neat_align.models import load_tokenizer
    from neat_align.scoring.reward_model import RewardModelScorer

    if not hasattr(value, "config"):
        raise RewardError(
            f"a module {type(value).__name__} as a reward",
            "it has no config as a transformers model has, and its forward takes no completions",
            "give a sequence-classification model, or write forward(self, completions, **kwargs)",
        )
    raise_all(_classifier_problems(value))
    where = getattr(value.config, "_name_or_path", "")
    if tokenizer is None and not where:
        raise RewardError(
            f"a reward model of type {type(value).__name__}",
            "it does not tell where it came from, so its tokenizer cannot be loaded",
            "save model and tokenizer in a directory, and give that",
        )
    return RewardModelScorer(value, tokenizer or load_tokenizer(where))


def _classifier_problems(model: Any) -> list[InputError]:
    """Check that a model is a sequence classifier with one label."""
    names = [kind.__name__ for kind in type(model).__mro__]
    named = [name for name in names if "SequenceClassification" in name] or names
    config = {"architectures": named[:1], "num_labels": getattr(model.config, "num_labels", 1)}
    given = f"a model of type {type(model).__name__} as a reward"
    return [RewardError(given, why, fix) for why, fix in kind_problems(config, "reward")]


def _model_problems(value: str) -> list[InputError]:
    """Check a model's name; or tell that a file was named without a function."""
    if not value.endswith(".py"):
        return check_model_source(value, "reward")
    if not is_file(value):
        return [no_file(value, value)]
    fix = f"write {value}:NAME, for the function of that name"
    return [RewardError(f"reward {value!r}", "it names a file, and no function of it", fix)]
