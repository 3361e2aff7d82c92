"""Find the files that Python code reads, by the file names in its text.

`Path(__file__).parent / "data" / "words.csv"`, `os.path.join(HERE, "data", "words.csv")` and
`f"{HERE}/data/{language}.csv"` are found by their parts: in every folder that the code names,
files are looked up by every name and pattern that the code holds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from neat_align.storage.paths import is_dir, is_file

LONGEST_NAME = 200  # characters of a text in the code that may name a file
WRITES = {
    *("write_text", "write_bytes", "mkdir", "touch", "to_csv", "to_json", "FileHandler"),
    *("RotatingFileHandler", "basicConfig", "connect"),
}
LISTS = {"iterdir", "listdir", "scandir", "walk", "glob", "rglob"}
PATTERN = re.compile(r"\S*\*\S*\.\w{1,10}")  # of file names: "*.csv", "words_*.txt"


def named_files(tree: ast.Module, path: Path) -> set[Path]:
    """Find the existing files that a file's code names and does not write.

    Args:
        path: of the code. Names are looked up beside it and in the working directory.
    """
    texts, written = set(_texts(ast.walk(tree))), set(_texts(_written(tree)))
    folders = _folders({part for text in texts for part in _parts(text)}, path.parent)
    names = {part for text in texts for part in _parts(text)}
    found = {path.with_suffix(name) for name in names if re.fullmatch(r"\.\w+", name)}
    found |= {base / text for text in texts for base in (path.parent, Path.cwd())}
    found |= {folder / name for folder in folders for name in names if "*" not in name}
    found |= set(_matching(folders or {path.parent}, texts))
    found |= {file for folder in folders if _lists(tree) for file in _inside(folder)}
    own = {path.name, *(part for text in written for part in _parts(text))}
    return {file for file in found if file.name not in own and is_file(file)}


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the texts that may be file names, f-strings as patterns."""
    for node in nodes:
        text = _constant(node)
        if isinstance(node, ast.JoinedStr):
            text = "".join(_constant(part) or "*" for part in node.values)
        if 0 < len(text) <= LONGEST_NAME and text.isprintable():
            yield text


def _constant(node: ast.AST) -> str:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else ""


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\\/]", text) if part not in ("", ".", "..", "*")]


def _folders(names: set[str], home: Path) -> set[Path]:
    """Find the folders that the names lead to, from the code's, its parent or the working one."""
    found: set[Path] = set()
    waiting = [home, home.parent, Path.cwd()]
    while waiting:
        inside = waiting.pop()
        for folder in {inside / name for name in names if is_dir(inside / name)} - found:
            found.add(folder)
            waiting.append(folder)
    return found


def _matching(folders: Iterable[Path], texts: set[str]) -> Iterator[Path]:
    """Yield the files that match a pattern, in the folder that the pattern names, else in any."""
    for text in texts:
        *above, pattern = _parts(text) or [""]
        inside = above[-1] if above and "*" not in above[-1] else ""
        if PATTERN.fullmatch(pattern):
            places = [folder for folder in folders if inside in ("", folder.name)]
            files = (file for folder in places for file in _inside(folder))
            yield from (file for file in files if fnmatch(file.name, pattern))


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _lists(tree: ast.Module) -> bool:
    """Tell whether the code lists a folder's content."""
    return any(_name(call) in LISTS for call in _calls(tree))


def _written(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes of writing calls, and of the values of the names in them."""
    calls = [call for call in _calls(tree) if _writes(call)]
    writers = {name for function in _functions(tree) for name in _writes_argument(function)}
    calls += [call for call in _calls(tree) if _name(call) in writers]
    inside = [node for call in calls for node in ast.walk(call)]
    names = {_variable(node) for node in inside}
    yield from inside
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and names & {_variable(own) for own in node.targets} - {""}:
            yield from ast.walk(node.value)


def _writes_argument(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the function's name if it writes to a file that it gets as an argument."""
    given = {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    for call in _calls(function):
        to = call.args[:1] + ([call.func.value] if isinstance(call.func, ast.Attribute) else [])
        if _writes(call) and given & {_variable(node) for node in to}:
            yield function.name


def _writes(call: ast.Call) -> bool:
    modes = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    short = {_constant(mode) for mode in modes if len(_constant(mode)) <= 3}
    return _name(call) in WRITES or (
        _name(call) == "open" and any(mode[:1] in ("w", "a", "x") for mode in short)
    )


def _variable(node: ast.AST) -> str:
    """Return the name of a variable or an attribute; "" for another node."""
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))
