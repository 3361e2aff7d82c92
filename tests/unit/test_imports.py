"""Who imports whom: no circle among modules."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import neat_align

ROOT = Path(neat_align.__file__).parent


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(tree):
    """List our modules that importing a module imports, without those within functions."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from within & MODULES.keys() or {node.module}
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & MODULES.keys()


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: set(imports(ast.parse(path.read_text()))) for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 500, "imports are no longer found"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" → ".join(error.args[1])) from error
