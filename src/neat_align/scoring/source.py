"""What can be known of "file.py:function" from its text, without running it."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import pkgutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from neat_align.errors import InputError, RewardError, nearest
from neat_align.scoring.functions import GIVEN, INPUTS, missing_problem
from neat_align.storage.paths import exists

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
UNREADABLE = (SyntaxError, ValueError, LookupError, RecursionError, MemoryError, OSError)


def file_problems(
    value: str, path: Path, name: str, columns: Collection[str] | None = None, reward: bool = True
) -> list[InputError]:
    """Tell what is wrong with the function `name` of a file, and with what it imports.

    Args:
        value: as the user named it, for the error.
        columns: of the queries; None where they are not known.
        reward: whether the function is called as a reward function is.
    """
    given = f"reward {value!r}"
    try:
        tree = ast.parse(path.read_bytes())  # bytes: a byte order mark and a coding line count
    except UNREADABLE as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else str(path)
        why = f"{where} is not Python: {getattr(error, 'msg', None) or error}"
        return [RewardError(given, why, "correct it")]
    problems: list[InputError] = [*_import_problems(given, path, tree)]
    names = list(_bound(tree.body))
    known = [n for n, _ in names]
    node = next((node for n, node in reversed(names) if n == name), None)
    if node is None:
        return problems if _is_open(tree, known) else [*problems, no_function(value, name, known)]
    place = f"{path}, line {node.lineno}"
    if isinstance(node, ast.ClassDef):
        problems += _class_problems(given, place, node)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        problems += _value_problems(given, place, node.value, columns, reward)
    elif isinstance(node, FUNCTIONS) and reward and not node.decorator_list:
        problems += _argument_problems(given, place, node.args, columns)
    return problems


def no_function(value: str, name: str, names: Collection[str]) -> RewardError:
    """Explain that a module does not define a name."""
    hint = nearest(name, names) if names else "define it there"
    return RewardError(f"reward {value!r}", f"it defines no function {name!r}", hint)


def no_module(value: str, module: str, folder: Path | None = None) -> RewardError:
    """Explain that a module is not there, with the nearest that is."""
    file = Path(*module.split(".")).with_suffix(".py") if module.strip(".") else Path("x")
    if exists(file):
        fix = f"write {file}:{value.rpartition(':')[2]} for a file"
    else:
        fix = _nearest_module(module.partition(".")[0], folder)
    return RewardError(f"reward {value!r}", f"there is no module {module!r}", fix)


def _nearest_module(name: str, folder: Path | None) -> str:
    known = {m.name for m in pkgutil.iter_modules()} | set(sys.stdlib_module_names)
    known |= {p.stem for p in (folder or Path()).glob("*.py")}
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    install = "install it here, or correct the name"
    return f"did you mean {close[0]!r}? otherwise {install}" if close else install


def neighbour_problems(given: str, path: Path) -> list[InputError]:
    """Check, after the import, that a file beside it is what was imported under its name.

    Python knows a module by its name alone; a second `helpers` is not read.
    """
    problems: list[InputError] = []
    for module in _imported(ast.parse(path.read_bytes())):
        beside, loaded = path.absolute().with_name(f"{module}.py"), sys.modules.get(module)
        origin = getattr(loaded, "__file__", None)
        if loaded is not None and exists(beside) and origin != str(beside):
            why = f"{path} imports {module!r}, which is {origin or 'built in'} and not {beside}"
            problems.append(RewardError(given, why, "give the file beside it another name"))
    return problems


def _imported(tree: ast.Module) -> set[str]:
    """Collect the first parts of the modules that a file imports at its top level."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def _import_problems(given: str, path: Path, tree: ast.Module) -> Iterator[RewardError]:
    """Find imports at the top level, outside of any `try`, that cannot succeed."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            yield RewardError(
                given,
                f"{path}, line {node.lineno}: a relative import in a file that is no package",
                f"write `import {node.module or node.names[0].name}`: files beside it are found",
            )
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for module in _imported(ast.Module([node], [])):
                if not _is_there(module, path.parent):
                    why = f"it imports {module!r}, and there is no such module"
                    fix = _nearest_module(module, path.parent)
                    yield RewardError(given, f"{path}, line {node.lineno}: {why}", fix)


def _is_there(module: str, folder: Path) -> bool:
    if exists(folder / f"{module}.py") or exists(folder / module) or module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _bound(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Find the names that a module's statements bind, with the statement; branches count."""
    for node in body:
        if isinstance(node, FUNCTIONS | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((a.asname or a.name.partition(".")[0], node) for a in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (n for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                # What an unpacking binds is not seen here: any statement does for it.
                yield name.id, node if name in targets else ast.Pass(lineno=node.lineno)
        else:
            for part in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _bound(handler.body)


def _is_open(tree: ast.Module, names: Collection[str]) -> bool:
    """Tell whether names may appear that the text does not show."""
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return bool({"*", "__getattr__"} & set(names)) or bool({"globals", "exec", "vars"} & used)


def _class_problems(given: str, place: str, node: ast.ClassDef) -> Iterator[RewardError]:
    """Check a class, which is made without arguments: it scores, or is called."""
    methods = {n.name: n for n in node.body if isinstance(n, FUNCTIONS)}
    if not node.bases and not {"__call__", "score"} & set(methods):
        yield RewardError(
            given,
            f"{place}: a class without __call__ or score",
            "name a function, or give it a __call__",
        )
    start = methods.get("__init__")
    if start is not None and (needed := _needed(start.args)[1:]):
        yield RewardError(
            given,
            f"{place}: a class that needs {', '.join(map(repr, needed))} to be made",
            f"make one in the file (scorer = {node.name}(…)) and name that",
        )


def _value_problems(
    given: str,
    place: str,
    value: ast.expr | None,
    columns: Collection[str] | None,
    reward: bool,
) -> Iterator[RewardError]:
    literal = ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.JoinedStr
    if isinstance(value, literal):
        why = f"{place}: it is a value that cannot be called"
        yield RewardError(given, why, "name a function")
    elif isinstance(value, ast.Lambda) and reward:
        yield from _argument_problems(given, place, value.args, columns)


def _argument_problems(
    given: str, place: str, arguments: ast.arguments, columns: Collection[str] | None
) -> Iterator[RewardError]:
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if columns is not None:
        problem = missing_problem(given, _needed(arguments), {*GIVEN, *columns})
        if problem is not None:
            yield RewardError(given, f"{place}: {problem.why}", problem.fix)
            return
    if arguments.kwarg is None and not set(INPUTS) & set(names):
        taken = f"takes {', '.join(names)}" if names else "takes nothing"
        yield RewardError(
            given,
            f"{place}: it {taken}, and so never sees a completion",
            "write def f(completions, **kwargs), which returns one number for each completion",
        )


def _needed(arguments: ast.arguments) -> list[str]:
    """List the arguments without a default."""
    by_place = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    needed = by_place[: len(by_place) - len(arguments.defaults)]
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults)
    return needed + [a.arg for a, default in by_name if default is None]
