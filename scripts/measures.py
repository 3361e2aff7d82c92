"""Print the measures of a checkout: how much there is of it, and how hard it is to hold in mind.

    python scripts/measures.py [CHECKOUT …]

With several checkouts there is a column for each, so that before and after stand side by side.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

PACKAGE = Path("src", "neat_align")
LONG_FILE, MANY_PARAMETERS = 300, 7
SETTING = "max_new_tokens"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A file of the package: its path within it, its lines and its syntax tree."""

    path: Path
    lines: int
    tree: ast.Module

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def measures(checkout: Path) -> dict[str, str]:
    """Measure the package of a checkout."""
    modules = [_read(path, checkout / PACKAGE) for path in _files(checkout / PACKAGE)]
    lengths = {f"{m.path}:{f.name}": _length(f) for m in modules for f in m.functions()}
    longest = max(lengths, key=lambda name: lengths[name])
    long_files = [m for m in modules if m.lines > LONG_FILE]
    many = [f for m in modules for f in m.functions() if _has_many(f, m)]
    scripts = [p for folder in ("scripts", "benchmarks") for p in _files(checkout / folder)]
    tests = _files(checkout / "tests")
    return {
        "python files of the package": str(len(modules)),
        "lines of the package": f"{sum(m.lines for m in modules):,}",
        "files and lines of scripts and benchmarks": f"{len(scripts)}, {_lines(scripts):,}",
        "files and lines of tests": f"{len(tests)}, {_lines(tests):,}",
        "functions": f"{len(lengths):,}",
        "lines per function body: median": f"{median(lengths.values()):g}",
        "lines per function body: 90th percentile": f"{quantiles(lengths.values(), n=10)[-1]:g}",
        "lines per function body: longest": f"{lengths[longest]} ({longest})",
        f"files over {LONG_FILE} lines": str(len(long_files)),
        f"functions with more than {MANY_PARAMETERS} parameters": str(len(many)),
        "modules and packages at the top level": str(_top_level(checkout / PACKAGE)),
        f"declarations of {SETTING} with a default": str(sum(map(_declarations, modules))),
    }


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _lines(paths: list[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def _read(path: Path, package: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    return Module(path.relative_to(package), len(text.splitlines()), ast.parse(text))


def _length(function: Function) -> int:
    """Count the lines of a body, without signature and docstring."""
    has_text = ast.get_docstring(function, clean=False) is not None
    body = function.body[1:] if has_text else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def _has_many(function: Function, module: Module) -> bool:
    """Tell whether a function takes too many parameters; constructors and commands may."""
    if function.name == "__init__" or _is_command(function, module):
        return False
    given = function.args
    own = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in own if name not in ("self", "cls")]) > MANY_PARAMETERS


def _is_command(function: Function, module: Module) -> bool:
    """Tell whether a function is a command, each parameter of which is an option."""
    text = ast.unparse(function.args)
    return module.path.parts[0] == "cli" and ("typer." in text or "Option" in text)


def _top_level(package: Path) -> int:
    modules = [p for p in package.glob("*.py") if not p.name.startswith("__")]
    return len(modules) + sum(1 for _ in package.glob("*/__init__.py"))


def _declarations(module: Module) -> int:
    """Count the fields, constants and parameters that give the setting a value."""
    return sum(_declares(node) for node in ast.walk(module.tree))


def _declares(node: ast.AST) -> int:
    if isinstance(node, ast.AnnAssign):
        return int(_is_setting(node.target) and node.value is not None)
    if isinstance(node, ast.Assign):
        return sum(map(_is_setting, node.targets))
    if isinstance(node, ast.arguments):
        positional = [*node.posonlyargs, *node.args]
        with_default = positional[len(positional) - len(node.defaults) :]
        with_default += [a for a, value in zip(node.kwonlyargs, node.kw_defaults) if value]
        return sum(a.arg == SETTING for a in with_default)
    return 0


def _is_setting(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.lower() == SETTING


def main(checkouts: list[Path]) -> None:
    """Print a table with a column for each checkout."""
    found = [measures(checkout) for checkout in checkouts]
    head = ["measure", *(str(checkout) for checkout in checkouts)]
    rows = [[name, *(column[name] for column in found)] for name in found[0]]
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or [Path()])
