"""The content of Python that users bring: what it does, and the files beside it that it uses.

Comments and layout do not count; a docstring does, since code may read it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from neat_align.content.files import file_content
from neat_align.paths import is_file

UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)
LONGEST_NAME = 200  # characters of a text in the code that may name a file
WRITES = {"write_text", "write_bytes", "mkdir", "touch", "FileHandler", "to_csv", "to_json"}


def code_content(path: Path) -> dict[str, str]:
    """`source` of a Python file, and of each file beside it that it uses, by name."""
    used = {_name(file, path.parent): _content(file) for file in sorted(used_files(path))}
    return {"source": _content(path), **used}


def module_content(name: str) -> dict[str, str]:
    """The content of "package.module", found without importing it."""
    path = module_file(name)
    if path is None:
        return {"source": "missing"}
    return {"source": _content(path)} if _is_installed(path) else code_content(path)


def module_file(name: str) -> Path | None:
    """The file of a module; None where there is none (or it is built in)."""
    first, *others = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not others:
        return Path(spec.origin) if spec.origin and is_file(spec.origin) else None
    folders = [Path(place).joinpath(*others) for place in spec.submodule_search_locations or ()]
    choices = [c for f in folders for c in (f.with_suffix(".py"), f / "__init__.py")]
    return next((c for c in choices if is_file(c)), None)


def used_files(path: Path) -> set[Path]:
    """Files that a Python file imports or names, and those that they do; not itself."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        for file in _directly_used(waiting.pop(), path.parent):
            if file != path and file not in found:
                found.add(file)
                waiting += [file] if file.suffix == ".py" else []
    return found


def _directly_used(path: Path, home: Path) -> Iterator[Path]:
    tree = _parsed(path)
    if tree is None:
        return
    folders = list(dict.fromkeys([path.parent, home, Path.cwd()]))
    for module in _imports(tree, path.parent, home):
        for folder in folders:
            yield from _module_files(folder, module)
    for text in _named_texts(tree):
        if is_file(path.parent / text):
            yield path.parent / text
        yield from _module_files(path.parent, text)


def _imports(tree: ast.Module, folder: Path, home: Path) -> Iterator[str]:
    """Dotted names of imported modules; of `from a import b`, both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield from ([base] if base else [])
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _module_files(folder: Path, module: str) -> Iterator[Path]:
    """The files that importing a module from a folder runs: its packages' and its own."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names:
        return
    for end in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:end])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if is_file(file) and not _is_installed(file):
                yield file


def _named_texts(tree: ast.Module) -> set[str]:
    """Texts in the code that may name a file to be read; not what is opened for writing."""
    written = {
        text.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _writes(call)
        for text in ast.walk(call)
        if isinstance(text, ast.Constant)
    }
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {t for t in texts - written if 0 < len(t) <= LONGEST_NAME and t.isprintable()}


def _writes(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    modes = [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
    asked = {m.value for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)}
    short = {mode for mode in asked if len(mode) <= 3 and mode[:1] in ("w", "a", "x")}
    return name in WRITES or (name == "open" and bool(short))


def _content(path: Path) -> str:
    tree = _parsed(path) if path.suffix == ".py" else None
    if tree is None:
        return file_content(path)
    return f"code:{hashlib.sha256(ast.dump(tree).encode()).hexdigest()}"


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (*UNPARSED, OSError):
        return None


def _is_installed(path: Path) -> bool:
    own = Path(__file__).parents[1]
    return "site-packages" in path.parts or path.is_relative_to(own)


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
