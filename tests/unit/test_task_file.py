"""Which queries of a benchmark's file are asked: some by lot, and none that was trained on."""

import json

import pytest
from pydantic import ValidationError
from tests.unit.test_tasks import evaluated, scripted
from typer.testing import CliRunner

from neat_align.cli.app import app
from neat_align.errors import DataError
from neat_align.evaluation.registry import benchmark, read_tasks
from neat_align.evaluation.task_file import TaskFile, drawn, texts_of
from neat_align.recipe import recipe_from
from neat_align.recipe.check import task_files
from neat_align.recipe.data_and_model import TaskData
from neat_align.recipe.sources import recipe_sources
from neat_align.report.cautions import cautions
from neat_align.storage.runs import MANIFEST, SCHEMA
from neat_align.types import Query

QUERIES = [Query.from_text(f"question {i}?") for i in range(40)]


@pytest.fixture
def goals(tmp_path):
    path = tmp_path / "goals.csv"
    path.write_text("goal\n" + "".join(f"do  Harm {i}\n" for i in range(9)) + "do  Harm 0\n")
    return path


def test_the_lot_is_by_content_and_seed():
    one, other = drawn(QUERIES, 10, seed=0), drawn(QUERIES, 10, seed=1)
    assert one != other
    assert len({query.id for query in one}) == 10
    assert [QUERIES.index(query) for query in one] == sorted(QUERIES.index(query) for query in one)
    assert set(drawn(QUERIES[::-1], 10, seed=0)) == set(one)
    assert drawn(QUERIES[:3], 10, seed=0) == QUERIES[:3]


def test_trained_queries_are_not_asked_and_are_counted(goals):
    trained = texts_of([Query.from_text(" do harm\n3"), Query.from_text("do harm")])
    task = TaskFile(goals, limit=5).given_to(benchmark("advbench"), 0, trained)
    assert len(task.queries) == 5
    found = evaluated({"m": scripted(lambda r: "So be it.")}, task)
    told = found.results(seconds=1)["tasks"]["advbench"]
    counts = {"rows": 10, "repeated": 1, "trained": 1, "limit": 5, "queries": 5}
    assert counts.items() <= told.items()
    asked = {sample["query"] for sample in found.models["m"].tasks["advbench"]}
    assert "do  Harm 3" not in asked | {
        query.text for query in TaskFile(goals).given_to(task, 0, trained).queries
    }


def test_a_benchmark_that_was_trained_on_whole_is_told_of(goals):
    trained = texts_of(benchmark("advbench").of(goals).queries)
    task = TaskFile(goals).given_to(benchmark("advbench"), 0, trained)
    found = evaluated({"m": scripted(lambda r: "So be it.")}, task)
    assert not any(name.startswith("advbench") for name in found.flat()["m"])
    assert any("advbench: all of its queries were trained on" in c for c in cautions(
        found.to_json(), {}
    ))  # fmt: skip


def test_answers_have_the_length_that_the_file_is_given_with(goals, tmp_path):
    task = TaskFile(goals, max_new_tokens=7).given_to(benchmark("advbench"), 0, ())
    assert task.answered.max_new_tokens == 7
    (tmp_path / "c.jsonl").write_text('{"query": "q", "choices": ["a", "b"], "answer": 0}\n')
    with pytest.raises(DataError, match="nothing is sampled"):
        read_tasks({"choices": TaskFile(tmp_path / "c.jsonl", max_new_tokens=7)})


def recipe(tasks):
    return recipe_from(
        {
            "model": "m",
            "queries": {"requests": "train"},
            "steering": "harmless",
            "reward": "refusal",
            "evaluate": {"queries": {"requests": "test"}, "tasks": tasks},
        }
    )


def test_a_recipe_gives_a_path_or_a_section(goals):
    section = recipe({"advbench": str(goals), "tdc2023": {"path": str(goals), "limit": 3}}).evaluate
    assert task_files(section) == {"advbench": TaskFile(goals), "tdc2023": TaskFile(goals, 3)}
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        TaskData(path="x", limit=0)


def test_a_path_alone_is_kept_as_it_was_in_runs_of_before(goals):
    own = recipe({"advbench": str(goals), "tdc2023": {"path": str(goals), "limit": 3}})
    dumped = own.model_dump(mode="json")["evaluate"]["tasks"]
    assert dumped["advbench"] == str(goals)
    assert dumped["tdc2023"]["limit"] == 3
    assert {"evaluate.tasks.advbench", "evaluate.tasks.tdc2023.path"} <= set(recipe_sources(own))
    assert recipe(dumped).model_dump() == own.model_dump()


def test_paths_of_a_section_begin_at_the_recipes_folder(tmp_path):
    from neat_align.recipe.paths import Paths, whole_paths

    content = {"evaluate": {"tasks": {"advbench": "a.csv", "tdc2023": {"path": "b.csv"}}}}
    tasks = whole_paths(content, Paths(tmp_path))["evaluate"]["tasks"]
    assert tasks == {
        "advbench": str(tmp_path / "a.csv"),
        "tdc2023": {"path": str(tmp_path / "b.csv")},
    }


def test_a_command_limits_its_benchmarks_and_leaves_out_what_was_trained_on(
    tmp_path, model_dir, goals
):
    run = tmp_path / "run"
    run.mkdir()
    (run / "policy").symlink_to(model_dir)
    (tmp_path / "trained.jsonl").write_text('{"prompt": "DO harm 4"}\n')
    queries = {"path": str(tmp_path / "trained.jsonl")}
    manifest = {"schema": SCHEMA, "sources": {}, "recipe": {"queries": queries}}
    (run / MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / "queries.txt").write_text("how do I wash the cup?\n")
    words = ["evaluate", "-m", f"base={run / 'policy'}", "-q", str(tmp_path / "queries.txt")]
    words += ["--steering", "harmless", "--max-new-tokens", "2", "-o", str(tmp_path / "out")]
    words += ["--no-prompt", "--task", f"advbench={goals}", "--task-limit", "3"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "results.json").read_text())["tasks"]["advbench"]
    assert (told["trained"], told["limit"], told["queries"]) == (1, 3, 3)
    assert told["asked_under"]["seen_negative"] == 3


def test_a_limit_without_a_benchmark_is_refused(tmp_path, model_dir):
    (tmp_path / "queries.txt").write_text("how do I wash the cup?\n")
    words = ["evaluate", "-m", f"base={model_dir}", "-q", str(tmp_path / "queries.txt")]
    words += ["--steering", "harmless", "-o", str(tmp_path / "out"), "--task-limit", "3"]
    assert "give --task NAME=PATH" in str(CliRunner().invoke(app, words).exception)
