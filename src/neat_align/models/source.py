"""Check a model's directory, before torch is imported or anything is loaded."""

from __future__ import annotations

from pathlib import Path

from neat_align.errors import InputError, ModelError, RewardError
from neat_align.models.gguf.check import ONLY_A_POLICY, SUFFIX, gguf_problems
from neat_align.models.kinds import Problem, Role, kind_problems, read_config
from neat_align.models.named import is_named
from neat_align.models.weights import weight_problems
from neat_align.storage.paths import exists, is_dir, is_file

ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
WHOLE = "give the directory that `save_pretrained` wrote (config.json, *.safetensors), or a .gguf"


def looks_local(source: str | Path) -> bool:
    """Tell whether `source` names a directory or file rather than a hub id (`owner/name`)."""
    text = str(source)
    named = text.startswith((".", "/", "~")) or text.lower().endswith(SUFFIX)
    return named or text.count("/") != 1 or exists(text)


def check_model_source(source: str | Path, role: Role = "any") -> list[InputError]:
    """Find what is wrong with a model, without loading it; hub ids and names are not fetched.

    Args:
        role: what the model is wanted for.
    """
    given = f"model {str(source)!r}"
    if is_named(source):
        return [_error(given, ONLY_A_POLICY, role)] if role == "reward" else []
    if not looks_local(source):
        return []
    path = Path(source).expanduser()
    if is_file(path / ADAPTER):
        return _adapter_problems(path, role)
    in_gguf = gguf_problems(path, role)
    if in_gguf is not None:
        return [_error(given, problem, role) for problem in in_gguf]
    if not is_dir(path):
        return [_no_directory(given, path)]
    missing = _missing(path)
    if missing:
        return [ModelError(given, *missing)]
    try:
        config = read_config(path / "config.json")
    except ValueError as error:
        return [ModelError(given, str(error), "fetch it again, or save the model again")]
    kinds = kind_problems(config, role)
    wrong = [*kinds, *weight_problems(path)]
    return [_error(given, problem, role if kinds else "any") for problem in wrong]


def _error(given: str, problem: Problem, role: Role) -> InputError:
    return (RewardError if role == "reward" else ModelError)(given, *problem)


def is_adapter(source: str | Path) -> bool:
    """Tell whether a directory holds an adapter."""
    return is_file(Path(source).expanduser() / ADAPTER)


def adapter_base(directory: str | Path) -> str | None:
    """Find the model below an adapter: as its config names it, or seen from its directory.

    None for a directory that holds no adapter.

    Raises:
        ModelError: an adapter that names none.
    """
    path = Path(directory).expanduser()
    if not is_file(path / ADAPTER):
        return None
    fix = f"write the model's directory or hub id as base_model_name_or_path into {path / ADAPTER}"
    try:
        named = read_config(path / ADAPTER).get("base_model_name_or_path")
    except ValueError as error:
        raise ModelError(f"adapter {str(directory)!r}", str(error), "save it again") from error
    if not named:
        raise ModelError(f"adapter {str(directory)!r}", "it names no model that it is for", fix)
    beside = path / str(named)
    if exists(beside) and not exists(Path(str(named)).expanduser()):
        return str(beside)
    return str(named)


def _adapter_problems(path: Path, role: Role) -> list[InputError]:
    given = f"adapter {str(path)!r}"
    if role == "reward":
        return [RewardError(given, "a reward model is a whole model", "merge the adapter into it")]
    try:
        base = adapter_base(path)
    except ModelError as error:
        return [error]
    assert base is not None
    problems: list[InputError] = []
    if looks_local(base) and not is_named(base) and not exists(Path(base).expanduser()):
        why = f"the model that it is for, {base}, is not there"
        fix = f"correct base_model_name_or_path in {path / ADAPTER}"
        problems.append(ModelError(given, why, fix))
    elif looks_local(base) and is_adapter(base):
        why = f"the model that it is for, {base}, is an adapter itself"
        fix = "merge that one into its model, or name a whole model as base_model_name_or_path"
        problems.append(ModelError(given, why, fix))
    else:
        problems += check_model_source(base, role)
    if not is_file(path / ADAPTER_WEIGHTS):
        why = f"it holds no {ADAPTER_WEIGHTS}, and only safetensors are read"
        return [*problems, ModelError(given, why, "save the adapter again, as safetensors")]
    return problems + [ModelError(given, *problem) for problem in weight_problems(path)]


def _no_directory(given: str, path: Path) -> InputError:
    if is_file(path):
        return ModelError(given, "it is a file, and a model is a directory or a .gguf file", WHOLE)
    return ModelError(
        given,
        "there is no such directory, and it is not a hub id of the form owner/name",
        "give a directory with config.json and *.safetensors, a .gguf file, or a hub id",
    )


def _missing(path: Path) -> tuple[str, str] | None:
    """Say what a directory lacks to be a model, and what to do; None for nothing."""
    wanted = {"config.json": "config.json", "weights": "*.safetensors*"}
    missing = [what for what, pattern in wanted.items() if not any(path.glob(pattern))]
    if not missing:
        return None
    why = f"the directory holds no {' and no '.join(missing)}"
    if not any(path.iterdir()):
        return "the directory is empty", WHOLE
    other = sorted(found.name for pattern in PICKLED for found in path.glob(pattern))
    if "weights" in missing and other:
        why += f" as safetensors, only {other[0]}, which is not read: a pickle can run code"
        return why, "save it again with a current `save_pretrained`, which writes safetensors"
    return why, WHOLE
