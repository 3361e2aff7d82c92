"""An objective of one's own: one file in the package, or "file.py:Name" anywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.end_to_end.test_runs import folder, neat, recipe  # noqa: F401
from typer.testing import CliRunner

import neat_align
from neat_align.cli import app
from neat_align.errors import InputError
from neat_align.training.argument_values import objective_of

MINE = """
from dataclasses import dataclass

from neat_align.objectives import GroupLogps, LossTerms, Objective
from neat_align.objectives import terms


@dataclass(frozen=True)
class Mine(Objective):
    push: float = 1.0
    name = "mine"

    def __call__(self, logps: GroupLogps) -> LossTerms:
        lead = terms.winner_margin(terms.means(logps), logps)
        loss = self.push * terms.negative_log_sigmoid(lead)
        return LossTerms({"mine": loss.where(terms.has_winner(logps), 0.0)})
"""
UNFAIR = MINE.replace("terms.winner_margin(terms.means(logps), logps)", "terms.sums(logps)[:, 0]")


def test_a_file_in_the_folder_is_an_objective(tmp_path):
    """Copy the package, put one file into it, and ask the copy."""
    shutil.copytree(Path(neat_align.__file__).parent, tmp_path / "neat_align")
    (tmp_path / "neat_align" / "objectives" / "mine.py").write_text(MINE)
    script = (
        "import sys\n"
        "from neat_align.objectives import OBJECTIVES, Mine\n"
        "from neat_align.recipe import check_recipe, load_recipe\n"
        "from neat_align.recipe.keys import matching_keys\n"
        "assert OBJECTIVES['mine'] is Mine\n"
        "given = ['objective={name: mine, push: 2}']\n"
        "assert check_recipe(load_recipe('world', given)) == []\n"
        "wrong = check_recipe(load_recipe('world', ['objective={name: mine, pull: 2}']))\n"
        "assert 'push' in str(wrong[0]), wrong\n"
        "assert 'mine' in matching_keys('objective.name')[0].kind\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=tmp_path)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "unfair.py").write_text(UNFAIR)
    return tmp_path


def test_a_trainer_takes_a_file(mine):
    assert objective_of("mine.py:Mine").push == 1.0
    assert objective_of({"name": "mine.py:Mine", "push": "3e-1"}).push == 0.3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere.py:Mine", "nowhere.py"),
        ("mine.py:Mien", "did you mean 'Mine'"),
        ("mine.py:terms", "no subclass"),
        ("unfair.py:Mine", "permuting the responses"),
        ({"name": "mine.py:Mine", "pull": 1}, "did you mean 'push'"),
        ({"name": "mine.py:Mine", "push": float("inf")}, "finite"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(mine, given, words):
    with pytest.raises(InputError, match="(?s)" + words):
        objective_of(given)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_is_of_the_code_of_its_objective(recipe, folder):  # noqa: F811
    (folder / "mine.py").write_text(MINE)
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump({**content, "objective": "mine.py:Mine"}))
    neat("run", recipe, "-o", "out")
    assert (folder / "out" / "inputs" / "objective.name" / "mine.py").read_text() == MINE
    neat("run", recipe, "-o", "out", "--resume")
    (folder / "mine.py").write_text(MINE.replace("self.push *", "2 * self.push *"))
    done = CliRunner().invoke(app, ["run", str(recipe), "-o", "out", "--resume"])
    assert isinstance(done.exception, InputError)
    assert "objective.name.source" in str(done.exception)
