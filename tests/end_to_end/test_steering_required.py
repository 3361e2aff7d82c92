"""Nobody's rule but the user's: a pair is given, or known from the run, or asked for."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.data import load_groups
from neat_align.errors import NeatError, RecipeError, SteeringError
from neat_align.prompts.steering import Steering, steering_names
from neat_align.recipe import load_recipe
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.storage.runs import RunDirectory
from neat_align.workflow.aligned_with import known_pair

CHOICES = ", ".join(sorted(steering_names()))


def neat(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(*arguments):
    done = neat(*arguments)
    assert isinstance(done.exception, NeatError), done.output
    return str(done.exception)


@pytest.fixture
def folder(tmp_path, monkeypatch, model_dir):
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(4)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    recipe = {
        "model": str(model_dir),
        "queries": "q.jsonl",
        "steering": {"negative": "Never use lists."},
        "reward": {"polarity": True},
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_recipe_without_steering_lists_the_choices(folder):
    content = yaml.safe_load((folder / "r.yaml").read_text())
    for value in ("absent", None, ["Be rude."], 3, ""):
        content.pop("steering", None)
        (folder / "r.yaml").write_text(
            yaml.safe_dump(content if value == "absent" else {**content, "steering": value})
        )
        told = refused("recipe", "check", "r.yaml")
        assert "steering" in told
        assert "negative: [your own sentence]" in told, value
    assert CHOICES in refused("run", "r.yaml")


def test_sampling_without_steering_lists_the_choices_with_all_else_that_is_wrong(folder):
    told = refused("sample", "-m", "nowhere/at/all", "-q", "q.jsonl", "-o", "g.jsonl")
    assert CHOICES in told
    assert "nowhere/at/all" in told
    assert "'Never be rude.'" in told


def test_plain_responses_need_no_steering(folder, model_dir):
    plain = ("--positive", 0, "--negative", 0, "--plain", 2, "--max-new-tokens", 2)
    assert neat("sample", "-m", model_dir, "-q", "q.jsonl", "-o", "g.jsonl", *plain).exit_code == 0
    assert {str(r.source) for g in load_groups("g.jsonl") for r in g.responses} == {"plain"}


def test_in_python_too(queries):
    sampler = ScriptedSampler(lambda request: "answer")
    groups = sample_groups(sampler, queries, None, GroupPlan(2, 0, 0), Decoding(), 0)
    assert len(groups) == len(queries)
    with pytest.raises(RecipeError, match="1 positive and 1 negative"):
        sample_groups(sampler, queries, None, GroupPlan(0, 1, 1), Decoding(), 0)


def test_an_evaluation_takes_the_pair_from_the_run(folder, tmp_path):
    pair = Steering("own", ("Be kind.",), ("Be mean.",), (), ("Be evil.",))
    (tmp_path / "one" / "policy").mkdir(parents=True)
    (tmp_path / "one" / "model").mkdir()
    pair.save(tmp_path / "one" / "policy")
    texts = {**Steering(negative=("Never use lists.",)).to_json()}
    RunDirectory.open(tmp_path / "two", {}, True, {"steering": {"kind": "steering", "pair": texts}})
    models = {n: tmp_path / n / "policy" for n in ("one", "two")}
    base = {"base": tmp_path / "one" / "model"}
    assert known_pair(base | {"one": models["one"]}, needed=True) == pair
    assert known_pair({"two": models["two"]}, needed=True).negative == ("Never use lists.",)
    with pytest.raises(SteeringError, match=r"one \(own\), two \(own\)"):
        known_pair(models, needed=True)
    with pytest.raises(RecipeError, match=CHOICES):
        known_pair(base, needed=True)


def test_an_evaluation_of_unknown_models_asks_for_the_pair(folder, model_dir):
    told = refused("evaluate", "-m", f"base={model_dir}", "-q", "q.jsonl", "-o", "out")
    assert CHOICES in told
    assert "--steering" in told


def test_a_prohibition_as_negative_prompt_warns(folder):
    done = neat("recipe", "check", "r.yaml")
    assert done.exit_code == 0
    assert "'Never use lists.' forbids" in done.output
    assert "no problem found" not in done.output
    assert "no problem found" in neat("recipe", "check", "r.yaml", "steering=polite").output


@pytest.mark.parametrize(
    ("overrides", "tried"),
    [
        ((), 8),
        (("steering.try_queries=3",), 3),
        (("steering=polite",), 8),
        (("steering=polite", "steering.try_queries=0"), 0),
    ],
)
def test_try_queries_stands_beside_the_texts_or_a_name(folder, overrides, tried):
    recipe = load_recipe("r.yaml", overrides)
    assert recipe.try_queries == tried
    assert recipe.pair.name in ("own", "polite")
    RunDirectory.open("out", recipe.model_dump(mode="json"), resume=False)


@pytest.mark.parametrize("value", ["-1", "many", "2.5", "true"])
def test_try_queries_that_is_no_number(folder, value):
    assert "try_queries" in refused("recipe", "check", "r.yaml", f"steering.try_queries={value}")


def test_the_whole_of_decoding_on_the_command_line(folder, model_dir):
    command = (
        "sample", "-m", model_dir, "-q", "q.jsonl", "-s", "polite", "-o", "groups",
        "--max-new-tokens", 2, "--top-p", 0.9, "--top-k", 7, "--min-p", 0.1,
        "--stop-strings", "Human:", "--stop-strings", "User:",
    )  # fmt: skip
    assert neat(*command).exit_code == 0
    known = json.loads((folder / "groups" / "run.json").read_text())["recipe"]["decoding"]
    assert known == {
        "max_new_tokens": 2, "temperature": 1.0, "top_p": 0.9, "top_k": 7, "min_p": 0.1,
        "stop_strings": ["Human:", "User:"],
    }  # fmt: skip
    assert "decoding.top_p" in refused(*command, "--top-p", 0.8)
    told = refused(*command[:9], "--top-p", 1.5, "--stop-strings", "")
    assert "top_p=1.5" in told
    assert "empty string" in told
    evaluation = ("evaluate", "-m", f"base={model_dir}", "-q", "q.jsonl", "-s", "polite", "-o")
    neat(*evaluation, "figures", "--max-new-tokens", 2, "--top-p", 0.9, "--stop-strings", "x")
    decoding = json.loads((folder / "figures" / "evaluation.json").read_text())["decoding"]
    assert (decoding["top_p"], decoding["stop_strings"]) == (0.9, ["x"])
    assert "top_p=0" in refused(*evaluation, "other", "--top-p", 0)
