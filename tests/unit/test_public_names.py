"""The public names: there, lazy, known to type checkers, and enough for a training by hand."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import neat_align
from neat_align.objectives import OBJECTIVES

TREE = ast.parse(Path(neat_align.__file__).read_text(encoding="utf-8"))


def for_type_checkers():
    """Name → module of the imports that only type checkers read."""
    (block,) = (node for node in TREE.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert all(alias.name == alias.asname for node in imports for alias in node.names)
    return {alias.name: node.module for node in imports for alias in node.names}


def test_type_checkers_see_what_there_is():
    assert for_type_checkers() == neat_align._WHERE


@pytest.mark.parametrize("name", neat_align.__all__)
def test_a_name_is_there(name):
    assert getattr(neat_align, name) is not None
    assert name in dir(neat_align)


def test_every_objective_is_there(monkeypatch):
    for objective in OBJECTIVES.values():
        assert getattr(neat_align, objective.__name__) is objective
    added = type("Added", (OBJECTIVES["dpo"],), {"name": "added"})
    objectives = importlib.import_module("neat_align.objectives")
    monkeypatch.setattr(objectives, "OBJECTIVES", {**OBJECTIVES, "added": added})
    assert neat_align.Added is added


def test_an_unknown_name_is_an_attribute_error():
    for name in ("Nothing", "nothing", "__wrapped__"):
        assert not hasattr(neat_align, name)


def test_importing_and_listing_loads_nothing():
    code = "import sys, neat_align; dir(neat_align); from neat_align import Query, Steering; "
    code += "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_training_by_hand_needs_public_names_alone():
    page = Path(__file__).parents[2] / "examples" / "neat_by_hand.py"
    top = [
        n for n in ast.parse(page.read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom)
    ]
    ours = [n for n in top if str(n.module).startswith("neat_align")]
    assert [n.module for n in ours] == ["neat_align"]
    assert {alias.name for n in ours for alias in n.names} <= {*neat_align.__all__}
