"""From what a user names as a reward to a scorer."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterable
from inspect import signature
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RewardError, raise_all
from neat_align.models import AUTO, check_model_source
from neat_align.models.kinds import kind_problems
from neat_align.scoring.base import Scorer
from neat_align.scoring.functions import RewardFunction
from neat_align.scoring.polarity import Polarity
from neat_align.scoring.raised import RAISED, told
from neat_align.scoring.self_contrast import WORDS, SelfContrast
from neat_align.scoring.server_judge import PREFIX, judge_of, judge_problems
from neat_align.scoring.source import file_problems, neighbour_problems, no_function, no_module
from neat_align.scoring.user_files import import_file
from neat_align.storage.paths import is_file

SELF_JUDGE = "self_judge"


def resolve_scorer(
    value: Any, tokenizer: Any = None, device: Any = AUTO, dtype: str | None = AUTO
) -> Scorer:
    """A scorer from a scorer, function, module, or the name of one.

    Args:
        value: a scorer; a callable in TRL's signature; an `nn.Module` (give its
            `tokenizer`); "polarity"; "self_contrast" or "self_contrast=EMBEDDER";
            "judge=FILE" (see `server_judge`);
            "module:function"; "file.py:function"; or a model directory or hub id.
        tokenizer: of a module.
        device, dtype: of a model that is loaded by its name; see `models.device`.

    Raises:
        RewardError, ModelError: there is no such thing.
    """
    if isinstance(value, str | Path):
        return _named(str(value), device, dtype)
    if isinstance(value, type):
        raise RewardError(
            f"the class {value.__name__} as a reward",
            "a class scores nothing until one of it is made",
            f"give {value.__name__}(…)",
        )
    if _is_scorer(value):
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


def check_scorer_value(
    value: str, columns: Collection[str] | None = None, reward: bool = True
) -> list[InputError]:
    """What is wrong with a named reward, without importing or loading anything.

    Args:
        columns: of the queries, which a function may ask for; None where they are not known.
        reward: False for a function that is not called as a reward function is.
    """
    if value in ("polarity", SELF_JUDGE):
        return []
    if value.startswith(PREFIX):
        return judge_problems(value)
    if value.partition("=")[0] == SelfContrast.name:
        embedder = value.partition("=")[2] or WORDS
        if ":" in embedder:
            return check_scorer_value(embedder, reward=False)
        return [] if embedder == WORDS else check_model_source(embedder)
    where, colon, function = value.rpartition(":")
    if not colon:
        return _without_function(value)
    if not where.endswith(".py"):
        return [] if _has_module(where) else [no_module(value, where)]
    if not is_file(where):
        return [_no_file(value, where)]
    return file_problems(value, Path(where), function, columns, reward)


def import_problems(values: Iterable[str]) -> list[InputError]:
    """What goes wrong when the functions among named rewards are imported.

    This runs the user's files: for after the other checks, and before any model is loaded.
    """
    problems: list[InputError] = []
    for value in dict.fromkeys(values):
        if ":" not in value or value.startswith(PREFIX) or "=" in value.partition(":")[0]:
            continue
        try:
            load_function(value)
        except InputError as error:
            problems.append(error)
    return problems


def load_function(value: str) -> Callable[..., Any]:
    """The function named by "module:function" or "file.py:function".

    A class is made, without arguments, and what comes of it is called.

    Raises:
        RewardError: there is none, importing it failed, or it cannot be called.
    """
    where, _, name = value.rpartition(":")
    if where.endswith(".py") and not is_file(where):
        raise _no_file(value, where)
    given = f"reward {value!r}"
    try:
        if where.endswith(".py"):
            module = import_file(Path(where))
            raise_all(neighbour_problems(given, Path(where)))
        else:
            module = importlib.import_module(where)
        found: Any = getattr(module, name, None)
        if isinstance(found, type):
            found = found()
    except RewardError:
        raise
    except RAISED as error:
        why = f"importing {where}: {told(error, str(Path(where).absolute()))}"
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        fix = "import it by hand and correct it"
        if missing:
            fix = no_module(value, missing, Path(where).parent).fix
        raise RewardError(given, why, fix) from error
    if not hasattr(module, name):
        raise no_function(value, name, [n for n in dir(module) if not n.startswith("_")])
    if not callable(found) and not _is_scorer(found):
        why = f"{name} is {type(found).__name__} {str(found)[:40]!r}, which cannot be called"
        raise RewardError(given, why, "name a function")
    return found


def _named(value: str, device: Any, dtype: str | None) -> Scorer:
    if value == "polarity":
        return Polarity()
    if value == SELF_JUDGE:
        raise RewardError(
            f"reward {SELF_JUDGE!r}",
            "the policy judges itself, and here is no policy",
            "use it in training, online",
        )
    if value.partition("=")[0] == SelfContrast.name:
        return SelfContrast(value.partition("=")[2] or WORDS, device=device, dtype=dtype)
    if value.startswith(PREFIX):
        return judge_of(value)
    if ":" in value:
        return _of_function(value)
    from neat_align.scoring.reward_model import RewardModelScorer

    return RewardModelScorer.from_pretrained(value, device, dtype)


def _is_module(value: Any) -> bool:
    import torch

    return isinstance(value, torch.nn.Module)


def _of_function(value: str) -> Scorer:
    """A file may also define a whole scorer, or a module."""
    found = load_function(value)
    where, _, name = value.rpartition(":")
    if _is_scorer(found) or _is_module(found):
        return resolve_scorer(found)
    file = str(Path(where).absolute()) if where.endswith(".py") else None
    return RewardFunction(found, getattr(found, "__name__", None) or name, file)


def _takes_completions(module: Any) -> bool:
    """Whether a module is called as a reward function is, and not as a reward model."""
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
    """That a model is no sequence classifier with one label."""
    names = [kind.__name__ for kind in type(model).__mro__]
    named = [name for name in names if "SequenceClassification" in name] or names
    config = {"architectures": named[:1], "num_labels": getattr(model.config, "num_labels", 1)}
    given = f"a model of type {type(model).__name__} as a reward"
    return [RewardError(given, why, fix) for why, fix in kind_problems(config, "reward")]


def _no_file(value: str, where: str) -> RewardError:
    return RewardError(
        f"reward {value!r}", f"there is no {where}", "check the path, relative to where you run"
    )


def _without_function(value: str) -> list[InputError]:
    """A model's name; or a file that was named without a function."""
    if not value.endswith(".py"):
        return check_model_source(value, "reward")
    if not is_file(value):
        return [_no_file(value, value)]
    fix = f"write {value}:NAME, for the function of that name"
    return [RewardError(f"reward {value!r}", "it names a file, and no function of it", fix)]


def _has_module(name: str) -> bool:
    """Whether the module's first part can be found; the rest would have to be imported."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _is_scorer(value: Any) -> bool:
    return hasattr(value, "score") and hasattr(value, "name") and not isinstance(value, type)
