"""Identify users' Python code by its syntax tree and by the files that it uses.

Comments and layout do not count. Docstrings do, since code may read them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from neat_align.provenance.files import file_content
from neat_align.provenance.named_files import LONGEST_NAME, named_files
from neat_align.storage.paths import is_file

UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)
INSTALLED = {"site-packages", "dist-packages"}


def code_content(path: Path) -> dict[str, str]:
    """Return the content of a Python file as `source`, and of each file it uses by name."""
    used = {name: _content(file) for name, file in named(path).items()}
    return {"source": _content(path), **used}


def named(path: Path) -> dict[str, Path]:
    """Find the files that a Python file uses, by names that do not depend on its place."""
    home, found = package_root(path), dict[str, Path]()
    for file in sorted(used_files(path)):
        inside = file.is_relative_to(home)
        name = str(file.relative_to(home)) if inside else file.name
        while name in found:
            name = f"{name}'"
        found[name] = file
    return found


def module_content(name: str) -> dict[str, str]:
    """Return the content of "package.module" without importing it."""
    path = module_file(name)
    if path is None:
        return {"source": "missing"}
    return {"source": _content(path)} if _is_installed(path) else code_content(path)


def module_file(name: str) -> Path | None:
    """Find a module's file; None if there is none, or if the module is built in."""
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


def own_module_file(name: str) -> Path | None:
    """Find the file of a user's own module; None for an installed one."""
    path = module_file(name)
    return None if path is None or _is_installed(path) else path


def package_root(path: Path) -> Path:
    """Find the folder that a file is imported from, above all its packages."""
    folder = path.absolute().parent
    while is_file(folder / "__init__.py") and folder != folder.parent:
        folder = folder.parent
    return folder


def used_files(path: Path) -> set[Path]:
    """Find the files that a Python file imports or names, directly or through other files."""
    path = path.absolute()
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
    yield from _packages(path)
    roots = (path.parent, home, package_root(path), Path.cwd(), *_search_path())
    for level, module in _imports(tree):
        above = [path.parents[level - 1]] if 0 < level <= len(path.parents) else []
        for folder in above or dict.fromkeys(roots):
            yield from _module_files(folder, module)
    yield from named_files(tree, path)
    for text in _dotted_texts(tree):  # importlib.import_module("helper")
        yield from _module_files(path.parent, text)


def _packages(path: Path) -> Iterator[Path]:
    """Yield the `__init__.py` files that importing a file runs first."""
    for folder in path.parents:
        if not is_file(folder / "__init__.py"):
            return
        yield folder / "__init__.py"


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield imported modules with their number of dots; for `from a import b`, a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield from ([(node.level, base)] if base else [])
            names = (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            yield from ((node.level, name) for name in names)


def _module_files(folder: Path, module: str) -> Iterator[Path]:
    """Yield the files that importing a module from a folder runs: packages' and its own."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names:
        return
    for end in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:end])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if is_file(file) and not _is_installed(file):
                yield file


def _search_path() -> list[Path]:
    """List the folders that Python imports from, without those of installed packages."""
    return [p for p in _absolute(tuple(sys.path)) if not _is_installed(p)]


@cache
def _absolute(places: tuple[str, ...]) -> tuple[Path, ...]:
    standard = Path(ast.__file__).parent
    return tuple(p for p in map(Path, places) if p.is_absolute() and standard not in (p, p.parent))


def _dotted_texts(tree: ast.Module) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and 0 < len(node.value) <= LONGEST_NAME
    }


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
    return bool(INSTALLED.intersection(path.parts)) or path.is_relative_to(own)
