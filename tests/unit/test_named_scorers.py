"""A scorer that has a name is one file; one that needs something says so, and is given it."""

import contextlib
import subprocess
import sys

import pytest

from neat_align.cli.app import app
from neat_align.errors import NeatError, RewardError
from neat_align.provenance.scorers import scorer_content
from neat_align.recipe import check_recipe, recipe_from
from neat_align.recipe.check import own_code_problems
from neat_align.scoring import (
    Bound,
    Need,
    ScorerSet,
    bind_scorer,
    check_scorer_value,
    import_problems,
    is_outside,
    named_scorers,
    needs_of,
    resolve_scorer,
    unmet_problems,
)
from neat_align.scoring import named as folder
from neat_align.types import Group, Query, Response, Source

LENGTH = """
from neat_align.errors import RewardError
from neat_align.scoring.base import NamedScorer, Takes


class Length(NamedScorer):
    name = "length"
    about = "characters, up to a limit"
    takes = Takes.TEXT
    usual = "10"

    def __init__(self, limit=10):
        self.limit = limit

    @classmethod
    def make(cls, argument, device, dtype):
        return cls(int(argument))

    @classmethod
    def problems(cls, argument):
        wrong = RewardError(f"length={argument}", "it is no number", "write length=10")
        return [] if argument.isdigit() else [wrong]

    def score(self, groups):
        return [[float(min(len(r.text), self.limit)) for r in g.responses] for g in groups]
"""

OWN = """
class Steered:
    needs_steering = True
    needs_reference = True

    def bind(self, bound):
        own = Steered()
        own.prompts = bound.steering.positive
        return own

    def score(self, groups):
        return [[float(len(self.prompts)) for _ in g.responses] for g in groups]


class Plain:
    def score(self, groups):
        return [[1.0 for _ in g.responses] for g in groups]
"""


@pytest.fixture
def length(tmp_path, monkeypatch):
    """The one file of a stranger's scorer, as if it lay in the folder of named scorers."""
    place = tmp_path / "theirs"
    place.mkdir()
    (place / "length.py").write_text(LENGTH)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(place)])
    yield "length"
    sys.modules.pop(f"{folder.__name__}.length", None)


@pytest.fixture
def groups():
    responses = (Response("abc", Source.PLAIN), Response("a" * 30, Source.NEGATIVE))
    return [Group(Query.from_text("q"), responses)]


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return str(path)


def recipe_of(tmp_path, model_dir, reward):
    (tmp_path / "q.jsonl").write_text('{"prompt": "a"}\n')
    content = {
        "model": str(model_dir), "queries": str(tmp_path / "q.jsonl"), "steering": "polite",
        "reward": reward, "train": {"max_steps": 1},
    }  # fmt: skip
    return recipe_from(content)


def test_one_file_adds_a_scorer(length, groups, tmp_path, model_dir, capsys):
    assert ScorerSet([resolve_scorer("length=5")]).score(groups)[0].responses[1].score == 5.0
    assert resolve_scorer("length").score(groups) == [[3.0, 10.0]]
    assert not check_scorer_value("length=5")
    assert "it is no number" in str(check_scorer_value("length=much")[0])
    for reward in ("length=5", {"length": 5}, {"functions": ["length=5"]}):
        recipe = recipe_of(tmp_path, model_dir, reward)
        assert recipe.reward.names == ["length=5"]
        assert not check_recipe(recipe) + own_code_problems(recipe)
    assert check_recipe(recipe_of(tmp_path, model_dir, "length=much"))
    assert scorer_content("length=5") != scorer_content("length=6")
    app(["scorer", "list"], standalone_mode=False)
    assert "characters, up to a limit" in capsys.readouterr().out


def test_one_file_is_scored_with_by_the_command(length, groups, tmp_path, monkeypatch):
    from neat_align.data import load_groups, save_groups

    monkeypatch.chdir(tmp_path)
    save_groups("g.jsonl", groups)
    app(["score", "g.jsonl", "-r", "length=5", "-o", "s.jsonl"], standalone_mode=False)
    assert [r.score for r in load_groups("s.jsonl")[0].responses] == [3.0, 5.0]
    with pytest.raises(NeatError, match="it is no number"):
        app(["score", "g.jsonl", "-r", "length=x", "-o", "t.jsonl"], standalone_mode=False)


def test_the_names_are_found_without_torch():
    code = "import sys, neat_align.scoring as s; s.named_scorers(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_named_scorer_says_what_it_is():
    found = named_scorers()
    assert set(found) == {
        *("judge", "plausibility", "polarity", "refusal", "repetition"),
        *("self_contrast", "self_judge"),
    }
    assert all(kind.about and "\n" not in kind.about for kind in found.values())
    assert [name for name in found if is_outside(name)] == [
        *("judge", "polarity", "refusal", "repetition"),
    ]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("polarity=3", "takes no argument"),
        ("judge", "write judge=FILE"),
        ("self_judge=x", "takes no argument"),
    ],
)
def test_an_argument_too_many_or_too_few_is_told(value, told):
    assert told in str(check_scorer_value(value)[0])
    with pytest.raises(RewardError, match=told):
        resolve_scorer(value)


def test_what_is_not_there_is_told_before_anything_is_loaded():
    assert needs_of("plausibility") == {Need.REFERENCE, Need.STEERING}
    told = unmet_problems(["self_judge", "plausibility", "self_contrast"], {Need.STEERING})
    assert [problem.given for problem in told] == [
        "reward 'self_judge'", "reward 'plausibility'", "reward 'self_contrast'",
    ]  # fmt: skip
    with pytest.raises(RewardError, match="the policy that is trained"):
        bind_scorer(resolve_scorer("self_judge"), Bound())


def test_a_class_of_ones_own_is_given_what_it_needs(own, groups, steering):
    name = f"{own}:Steered"
    assert not check_scorer_value(name)
    assert not import_problems([name])
    assert needs_of(name) == {Need.REFERENCE, Need.STEERING}
    with pytest.raises(NeatError, match=r"(?s)reference model.*steering pair"):
        bind_scorer(resolve_scorer(name), Bound())
    bound = Bound(reference=lambda: contextlib.nullcontext(), steering=steering)
    scorer = bind_scorer(resolve_scorer(name), bound)
    assert scorer.score(groups) == [[float(len(steering.positive))] * 2]
    assert resolve_scorer(f"{own}:Plain").score(groups) == [[1.0, 1.0]]


def test_a_recipe_tells_what_its_scorers_lack(tmp_path, model_dir, own):
    recipe = recipe_of(tmp_path, model_dir, [f"{own}:Steered", "self_contrast"])
    assert not check_recipe(recipe)
    assert "the answers of the data" in str(*own_code_problems(recipe))
