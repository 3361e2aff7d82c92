"""Functions and scorers of a user's own, by "file.py:NAME" or "module:NAME"."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from neat_align.errors import InputError, RewardError, raise_all
from neat_align.scoring.raised import RAISED, told
from neat_align.scoring.source import file_problems, neighbour_problems, no_function, no_module
from neat_align.scoring.user_files import import_file
from neat_align.storage.paths import is_file


def function_problems(
    value: str, columns: Collection[str] | None = None, reward: bool = True
) -> list[InputError]:
    """Tell what is wrong with a name, without running the file that it is in.

    Args:
        columns: of the queries, which a function may ask for; None where they are not known.
        reward: False for a function that is not called as a reward function is.
    """
    where, _, function = value.rpartition(":")
    if not where.endswith(".py"):
        return [] if _has_module(where) else [no_module(value, where)]
    if not is_file(where):
        return [no_file(value, where)]
    return file_problems(value, Path(where), function, columns, reward)


def load_function(value: str) -> Callable[..., Any]:
    """Import the function that a value names.

    A class is made, without arguments, and what comes of it is called, or scores.

    Raises:
        RewardError: there is none, importing it failed, or it cannot be called.
    """
    where, _, name = value.rpartition(":")
    if where.endswith(".py") and not is_file(where):
        raise no_file(value, where)
    try:
        module = _import(where, f"reward {value!r}")
        found: Any = getattr(module, name, None)
        if isinstance(found, type):
            found = _made(found)
    except RewardError:
        raise
    except RAISED as error:
        raise _explained(error, value, where) from error
    if not hasattr(module, name):
        raise no_function(value, name, [n for n in dir(module) if not n.startswith("_")])
    if not callable(found) and not is_scorer(found):
        why = f"{name} is {type(found).__name__} {str(found)[:40]!r}, which cannot be called"
        raise RewardError(f"reward {value!r}", why, "name a function")
    return found


def no_file(value: str, where: str) -> RewardError:
    """Explain that a file is not there."""
    return RewardError(
        f"reward {value!r}", f"there is no {where}", "check the path, relative to where you run"
    )


def is_scorer(value: Any) -> bool:
    """Tell whether a value is a whole scorer, and not a function or a class."""
    return hasattr(value, "score") and hasattr(value, "name") and not isinstance(value, type)


def _import(where: str, given: str) -> ModuleType:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    module = import_file(Path(where))
    raise_all(neighbour_problems(given, Path(where)))
    return module


def _made(kind: type) -> Any:
    """Make one of a class; a scorer without a name is called as its class."""
    found = kind()
    if hasattr(found, "score") and not hasattr(found, "name") and not callable(found):
        found.name = kind.__name__
    return found


def _explained(error: BaseException, value: str, where: str) -> RewardError:
    why = f"importing {where}: {told(error, str(Path(where).absolute()))}"
    fix = "import it by hand and correct it"
    if isinstance(error, ModuleNotFoundError) and error.name:
        fix = no_module(value, error.name, Path(where).parent).fix
    return RewardError(f"reward {value!r}", why, fix)


def _has_module(name: str) -> bool:
    """Tell whether the module's first part can be found; the rest would have to be imported."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False
