"""Paths of a recipe begin at its folder, those of the command line where one stands."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.errors import InputError
from neat_align.recipe import check_recipe, load_recipe, recipe_from

CONTENT = {
    "model": "models/own",
    "queries": "data/q.jsonl",
    "steering": {"name": "rule.yaml", "try_queries": 0},
    "reward": {
        "model": "./reward",
        "functions": ["r.py:score", "package.module:score", "judge=judge.yaml", "polarity"],
        "self_contrast": "e.py:embed",
        "judge": {"url": "http://localhost/v1", "model": "m", "journal": "answers.jsonl"},
        "train": {"data": {"path": "pairs.jsonl"}},
    },
    "train": {"deepspeed": "zero.json"},
    "evaluate": {
        "queries": {"path": "../test.jsonl"},
        "heldout_reward": {"data": "held.jsonl"},
        "checker": "r.py:check",
        "perplexity": "texts.jsonl",
    },
    "compare": {
        "development": {"queries": "dev.jsonl"},
        "variants": {
            "other": {
                "overrides": ["queries.path=other.jsonl", "train.max_steps=3", "reward.model=a/b"],
                "methods": ["neat"],
            }
        },
    },
}


@pytest.mark.parametrize(
    ("given", "section"),
    [
        ("r.py:score", {"functions": ["{here}/r.py:score"]}),
        (["r.py:score", "p.m:score"], {"functions": ["{here}/r.py:score", "p.m:score"]}),
        ("package.module:score", {"functions": ["package.module:score"]}),
        ("judge=judge.yaml", {"functions": ["judge={here}/judge.yaml"]}),
        ("./reward", {"model": "{here}/reward"}),
        ("owner/name", {"model": "owner/name"}),
        ("polarity", {"polarity": True}),
        ("self_judge", {"self_judge": True}),
        ("self_contrast=e.py:embed", {"self_contrast": "{here}/e.py:embed"}),
    ],
)
def test_a_text_in_place_of_the_rewards_is_what_the_command_line_takes(
    given, section, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    loaded = recipe_from({**CONTENT, "reward": given}).reward.model_dump(exclude_defaults=True)
    assert json.dumps(loaded) == json.dumps(section).replace("{here}", str(tmp_path))


@pytest.mark.parametrize(("key", "value"), [("reward", 3), ("sample", 3), ("train", "x")])
def test_a_value_where_a_section_belongs_is_said_in_plain_words(key, value):
    with pytest.raises(InputError) as raised:
        recipe_from({**CONTENT, key: value})
    assert "a section with keys belongs here" in str(raised.value)
    assert f"neat recipe keys {key}" in str(raised.value)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Write a recipe into a folder beside the working directory."""
    home, here = tmp_path / "home", tmp_path / "here"
    (home / "models" / "own").mkdir(parents=True)
    here.mkdir()
    (home / "recipe.yaml").write_text(yaml.safe_dump(CONTENT), encoding="utf-8")
    monkeypatch.chdir(here)
    return tmp_path


def test_every_path_begins_at_the_recipe(place):
    home = place / "home"
    recipe = load_recipe("../home/recipe.yaml")
    found = recipe.model_dump(mode="json")
    assert found["model"]["path"] == f"{home}/models/own"
    assert found["queries"]["path"] == f"{home}/data/q.jsonl"
    assert found["steering"] == {"name": f"{home}/rule.yaml", "try_queries": 0}
    reward = found["reward"]
    assert reward["model"] == f"{home}/reward"
    assert reward["functions"] == [
        f"{home}/r.py:score", "package.module:score", f"judge={home}/judge.yaml", "polarity",
    ]  # fmt: skip
    assert reward["self_contrast"] == f"{home}/e.py:embed"
    assert reward["judge"]["journal"] == f"{home}/answers.jsonl"
    assert reward["train"]["data"]["path"] == f"{home}/pairs.jsonl"
    assert found["train"]["deepspeed"] == f"{home}/zero.json"
    evaluate = found["evaluate"]
    assert evaluate["queries"]["path"] == f"{place}/test.jsonl"
    assert evaluate["heldout_reward"]["data"]["path"] == f"{home}/held.jsonl"
    assert evaluate["checker"] == f"{home}/r.py:check"
    assert evaluate["perplexity"]["path"] == f"{home}/texts.jsonl"
    compare = found["compare"]
    assert compare["development"]["queries"]["path"] == f"{home}/dev.jsonl"
    overrides = compare["variants"]["other"]["overrides"]
    assert overrides == [f'queries.path="{home}/other.jsonl"', "train.max_steps=3",
                         "reward.model=a/b"]  # fmt: skip
    assert recipe_from(found) == recipe


def test_an_override_begins_where_one_stands(place):
    (place / "here" / "models" / "own").mkdir(parents=True)
    (place / "here" / "rule.yaml").touch()
    overrides = [
        "model=models/own", "queries.path=q.jsonl", "reward={functions: ['f.py:g']}",
        "evaluate.heldout_reward=owner/name", "steering=rule.yaml",
    ]  # fmt: skip
    found = load_recipe("../home/recipe.yaml", overrides).model_dump(mode="json")
    here = place / "here"
    assert found["model"]["path"] == f"{here}/models/own"
    assert found["queries"]["path"] == f"{here}/q.jsonl"
    assert found["reward"]["functions"] == [f"{here}/f.py:g"]
    assert found["evaluate"]["heldout_reward"] == "owner/name"
    assert found["steering"] == f"{here}/rule.yaml"


def test_names_are_no_paths(place):
    content = {**CONTENT, "model": "owner/name", "steering": "harmless"}
    (place / "home" / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (place / "here" / "harmless").touch()
    recipe = load_recipe("../home/recipe.yaml")
    assert recipe.model.path == "owner/name"
    assert recipe.steering == "harmless"
    texts = {"name": "rule.yaml", "negative": "Be rude."}
    assert recipe_from({**content, "steering": texts}).steering == texts


def test_what_lies_where_one_stands_is_told(place):
    (place / "here" / "data").mkdir()
    (place / "here" / "data" / "q.jsonl").write_text(json.dumps({"prompt": "a"}))
    (place / "here" / "r.py").touch()
    with pytest.raises(InputError) as caught:
        load_recipe("../home/recipe.yaml")
    told = str(caught.value)
    assert "queries: 'data/q.jsonl'" in told
    assert "reward.functions: 'r.py'" in told
    assert "one lies where you stand" in told
    assert "write ../here/data/q.jsonl in the recipe" in told
    given = ["queries.path=data/q.jsonl", "reward.functions=['r.py:f']", "evaluate=null"]
    load_recipe("../home/recipe.yaml", given)  # what was told to do works


def test_a_hub_id_that_is_a_directory_here_is_told(place):
    content = {**CONTENT, "model": "owner/name"}
    (place / "home" / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (place / "here" / "owner" / "name").mkdir(parents=True)
    with pytest.raises(InputError, match="one lies where you stand"):
        load_recipe("../home/recipe.yaml")


def test_the_command_line(place):
    done = CliRunner().invoke(app, ["recipe", "check", "../home/recipe.yaml"])
    assert f"data file {place}/home/data/q.jsonl" in str(done.exception)


def test_a_missing_file_of_the_comparison_is_named_by_its_key(place):
    told = [problem.given for problem in check_recipe(load_recipe("../home/recipe.yaml"))]
    assert any(given.startswith("compare.development.queries: data file") for given in told)
