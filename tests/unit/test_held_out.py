"""Queries that are trained on and measured on are told before anything is trained."""

import json

import pytest

from neat_align.errors import DataError, InputError
from neat_align.recipe import load_recipe, recipe_from
from neat_align.recipe.data_and_model import Data
from neat_align.study.plan import plan_grid
from neat_align.types import Query
from neat_align.workflow.inputs import held_out_problems, queries


def write(path, numbers):
    rows = [json.dumps({"prompt": f"how do I clean lamp {i}?"}) for i in numbers]
    path.write_text("\n".join(rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def recipe(tmp_path):
    """Make a recipe whose queries are 0 to 9, measured on 20 to 29."""
    content = {
        "model": "own/model",
        "queries": write(tmp_path / "train.jsonl", range(10)),
        "steering": {"negative": "Answer badly."},
        "reward": {"polarity": True},
        "evaluate": {"queries": write(tmp_path / "test.jsonl", range(20, 30))},
    }
    return lambda **changes: recipe_from({**content, **changes})


def test_queries_that_differ_are_no_problem(recipe):
    assert held_out_problems(recipe()) == []


def test_shared_queries_of_files_are_counted(recipe, tmp_path):
    both = write(tmp_path / "both.jsonl", range(8, 12))
    (problem,) = held_out_problems(recipe(evaluate={"queries": both}))
    assert problem.given == "evaluate.queries: 2 of 4"


def test_shares_of_one_file_that_overlap(recipe, tmp_path):
    path = write(tmp_path / "all.jsonl", range(60))
    apart = {"path": path, "share": [0.5, 1]}
    assert not held_out_problems(
        recipe(queries={"path": path, "share": [0, 0.5]}, evaluate={"queries": apart})
    )
    assert held_out_problems(
        recipe(queries={"path": path, "share": [0, 0.8]}, evaluate={"queries": apart})
    )


def test_stored_groups_are_what_is_trained_on(recipe):
    (problem,) = held_out_problems(recipe(), [Query.from_text("how do I clean lamp 20?")])
    assert "1 of 10" in problem.given


def test_development_queries_of_a_comparison(recipe, tmp_path):
    def development(numbers):
        path = write(tmp_path / "development.jsonl", numbers)
        return recipe(compare={"development": {"queries": path}})

    assert held_out_problems(development(range(40, 45))) == []
    (trained,) = held_out_problems(development(range(9, 14)))
    assert trained.given == "compare.development.queries: 1 of 5"
    (reported,) = held_out_problems(development(range(28, 34)))
    assert reported.given == "compare.development.queries: 2 of 6"
    assert "chosen on what is reported" in reported.why


def test_parts_of_the_world():
    assert held_out_problems(load_recipe("world")) == []
    changes = ["evaluate.queries={world: train, limit: 20}"]
    (problem,) = held_out_problems(load_recipe("world", changes))
    assert problem.given.startswith("evaluate.queries")


def test_more_queries_than_the_world_has():
    with pytest.raises(DataError, match="ask for fewer"):
        queries(Data.model_validate({"world": "test", "limit": 90_000}), 0)


@pytest.mark.parametrize("words", [["recipe", "check"], ["run"], ["train"]])
def test_the_commands_tell_it_first(words, recipe, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from neat_align.cli import app

    monkeypatch.chdir(tmp_path)
    changes = ["reward={polarity: true}"]
    if words == ["train"]:
        changes.append("model=somebody/model")
    given = ["world", "evaluate.queries={world: train, limit: 20}", *changes]
    done = CliRunner().invoke(app, [*words, *given])
    assert isinstance(done.exception, InputError)
    assert "training queries too" in str(done.exception)


def test_a_comparison_tells_it_first(tmp_path, monkeypatch):

    overlap = load_recipe("world", ["evaluate.queries={world: train, limit: 20}"])
    with pytest.raises(InputError, match="training queries too"):
        plan_grid(overlap, ["base", "neat"], [0], 1)
