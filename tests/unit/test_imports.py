"""Who imports whom: no circle among modules; the command line holds options alone."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import neat_align

ROOT = Path(neat_align.__file__).parent


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def types_of(node):
    """What stands in `if TYPE_CHECKING:`."""
    return node.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node) else []


def imports(tree):
    """List our modules that a module imports, for types alone too; not those within functions."""
    for node in [*tree.body, *(part for own in tree.body for part in types_of(own))]:
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from within & MODULES.keys() or {node.module}
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & MODULES.keys()


def circle(graph):
    """One circle among what imports what; "" where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " → ".join(error.args[1])
    return ""


def room(module):
    return ".".join(module.split(".")[:2])


GRAPH = {name: set(imports(ast.parse(path.read_text()))) for name, path in MODULES.items()}


def test_no_module_imports_itself_by_way_of_others():
    assert sum(map(len, GRAPH.values())) > 1000, "imports are no longer found"
    assert not circle(GRAPH)


def test_no_room_imports_itself_by_way_of_others():
    rooms = {room(name): set() for name in MODULES}
    for name, imported in GRAPH.items():
        rooms[room(name)] |= {room(other) for other in imported} - {room(name)}
    rooms.pop("neat_align")  # every public name, when it is asked for
    assert not circle(rooms)


CONSOLE = {
    "__init__": "starts the command, and turns errors into text and exit codes",
    "asked": "what several options ask for together",
    "default_command": "which command options alone mean",
    "decoding": "a list of options for several commands",
    "evaluation": "what `neat evaluate` is asked for, checked",
    "json_option": "an option that holds JSON",
    "quiet": "silences libraries on the console",
    "report": "which page a directory has",
    "told": "what a command prints when it has finished",
    "warnings": "prints warnings",
}
"""Modules of the command line without commands, and what for."""
LONGEST = 25  # statements of a function


def statements(function):
    """The statements of a body, but for its docstring."""
    return sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 2


@pytest.mark.parametrize("path", sorted((ROOT / "cli").glob("*.py")), ids=lambda path: path.stem)
def test_the_command_line_holds_options_alone(path):
    tree = ast.parse(path.read_text())
    imported = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
    assert "typer" in imported or path.stem in CONSOLE, "what is no option belongs elsewhere"
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert not classes or path.stem in CONSOLE, "a record of options belongs to what takes them"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = {f.name: statements(f) for f in functions if statements(f) > LONGEST}
    assert not long or path.stem in CONSOLE, "what is done belongs to the room that does it"
