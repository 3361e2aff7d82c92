"""From what a user names as a reward to a scorer."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neat_align.errors import InputError, RewardError, nearest
from neat_align.modeling import check_model_source
from neat_align.paths import is_file
from neat_align.scoring.base import Scorer
from neat_align.scoring.functions import RewardFunction
from neat_align.scoring.polarity import Polarity
from neat_align.scoring.self_contrast import WORDS, SelfContrast
from neat_align.scoring.server_judge import PREFIX, judge_of, judge_problems

SELF_JUDGE = "self_judge"


def resolve_scorer(value: Any, tokenizer: Any = None, device: Any = None) -> Scorer:
    """A scorer from a scorer, function, module, or the name of one.

    Args:
        value: a scorer; a callable in TRL's signature; an `nn.Module` (give its
            `tokenizer`); "polarity"; "self_contrast" or "self_contrast=EMBEDDER";
            "judge=FILE" (see `server_judge`);
            "module:function"; "file.py:function"; or a model directory or hub id.
        tokenizer: of a module.
        device: for a model that is loaded by its name.

    Raises:
        RewardError, ModelError: there is no such thing.
    """
    if isinstance(value, str | Path):
        return _named(str(value), device)
    if hasattr(value, "score") and hasattr(value, "name"):
        return value
    if _is_module(value):
        return _module(value, tokenizer)
    if callable(value):
        return RewardFunction(value)
    raise RewardError(
        f"a reward of type {type(value).__name__}",
        "it is no scorer, function, module or name",
        'give a function in TRL\'s signature, a model id, "file.py:function" or "polarity"',
    )


def check_scorer_value(value: str) -> list[InputError]:
    """What is wrong with a named reward, without importing or loading anything."""
    if value in ("polarity", SELF_JUDGE):
        return []
    if value.startswith(PREFIX):
        return judge_problems(value)
    if value.partition("=")[0] == SelfContrast.name:
        embedder = value.partition("=")[2] or WORDS
        return [] if embedder == WORDS else check_scorer_value(embedder)
    where, colon, function = value.rpartition(":")
    if not colon:
        return check_model_source(value)
    if not where.endswith(".py"):
        return [] if importlib.util.find_spec(where.partition(".")[0]) else [_no_file(value, where)]
    path = Path(where)
    if not is_file(path):
        return [_no_file(value, where)]
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        return [RewardError(f"reward {value!r}", f"{where} is not Python: {error}", "correct it")]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    names = [node.name for node in tree.body if isinstance(node, kinds)]
    return [] if function in names else [_no_function(value, function, names)]


def load_function(value: str) -> Callable[..., Any]:
    """The function named by "module:function" or "file.py:function".

    Raises:
        RewardError: there is none, or importing it failed.
    """
    where, _, name = value.rpartition(":")
    if where.endswith(".py") and not is_file(where):
        raise _no_file(value, where)
    try:
        module = (
            _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
    except Exception as error:
        raise RewardError(
            f"reward {value!r}",
            f"importing {where} raised {type(error).__name__}: {error}",
            "import it by hand and correct it",
        ) from error
    if not hasattr(module, name):
        raise _no_function(value, name, [n for n in dir(module) if not n.startswith("_")])
    return getattr(module, name)


def _named(value: str, device: Any) -> Scorer:
    if value == "polarity":
        return Polarity()
    if value == SELF_JUDGE:
        raise RewardError(
            f"reward {SELF_JUDGE!r}",
            "the policy judges itself, and here is no policy",
            "use it in training, online",
        )
    if value.partition("=")[0] == SelfContrast.name:
        return SelfContrast(value.partition("=")[2] or WORDS)
    if value.startswith(PREFIX):
        return judge_of(value)
    if ":" in value:
        return RewardFunction(load_function(value))
    from neat_align.scoring.reward_model import RewardModelScorer

    return RewardModelScorer.from_pretrained(value, device)


def _is_module(value: Any) -> bool:
    import torch

    return isinstance(value, torch.nn.Module)


def _module(value: Any, tokenizer: Any) -> Scorer:
    from neat_align.modeling import load_tokenizer
    from neat_align.scoring.reward_model import RewardModelScorer

    return RewardModelScorer(value, tokenizer or load_tokenizer(value.config._name_or_path))


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _no_file(value: str, where: str) -> RewardError:
    return RewardError(
        f"reward {value!r}", f"there is no {where}", "check the path, relative to where you run"
    )


def _no_function(value: str, name: str, names: list[str]) -> RewardError:
    hint = nearest(name, names) if names else "define it there"
    return RewardError(f"reward {value!r}", f"it defines no function {name!r}", hint)
