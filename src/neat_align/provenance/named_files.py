"""Files that Python code names, to be read: whole names, and names put together of parts.

`Path(__file__).parent / "data" / "words.csv"`, `os.path.join(HERE, "data", "words.csv")` and
`f"{HERE}/data/{language}.csv"` are found by their parts: folders the code names are looked
into, and what they hold by the names and patterns that it names, too.
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
    """What a file's code names and does not write, as far as it is there.

    Args:
        path: of the code; looked beside it, and in the folder that the process stands in.
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
    """Texts that may be a file's name; those with gaps as patterns."""
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
    """Folders reached by the names that the code holds, from its own, the next and ours."""
    found: set[Path] = set()
    waiting = [home, home.parent, Path.cwd()]
    while waiting:
        inside = waiting.pop()
        for folder in {inside / name for name in names if is_dir(inside / name)} - found:
            found.add(folder)
            waiting.append(folder)
    return found


def _matching(folders: Iterable[Path], texts: set[str]) -> Iterator[Path]:
    """Files that fit a text with gaps, in the folder that it names or else in any."""
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
    """Whether the code asks what a folder holds."""
    return any(_name(call) in LISTS for call in _calls(tree))


def _written(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes of calls that write, and of what the names in them were set to."""
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
    """The function's name, if it writes to a file that it is given."""
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
    """The name of a variable or an attribute."""
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))
