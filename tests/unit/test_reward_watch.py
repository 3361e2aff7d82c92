"""A reward that training never sees is watched: when the two part, by hand and in a run."""

import json

import pytest
import yaml
from tests.trainers import rows, trainer_of
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.errors import InputError
from neat_align.recipe import check_recipe, recipe_from
from neat_align.report.cautions import cautions
from neat_align.scoring import RewardFunction
from neat_align.training.reward_watch import RewardWatch, parted, parting
from neat_align.types import Query

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PARTED = "rewards_parted"
HELD_OUT = [Query.from_text(f"how do I wash the {thing}?") for thing in ("cup", "shoe")]
STEPS = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 5, "save_strategy": "no"}


def history(*pairs, spread=1.0):
    """Evaluations with a training and a watched reward each."""
    return [
        {"step": i, "eval/reward/plain": t, "eval/watched_reward": w, "eval/signal/spread": spread}
        for i, (t, w) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("pairs", "parts"),
    [
        ([(0, 5), (1, 4), (2, 3)], True),  # two falls, a rise of 2 spreads
        ([(0, 5), (1, 4)], False),  # one fall
        ([(0, 5), (1, 4), (2, 4)], False),  # no fall at last
        ([(0, 5), (0.2, 4), (0.5, 3)], False),  # a rise of half a spread, not more
        ([(0, 5), (0.2, 4), (0.5, 3), (0.6, 2)], True),  # slowly, over three falls
        ([(0, 3), (3, 5), (3, 4), (3, 3)], False),  # what rose before the falls does not count
        ([(2, 5), (1, 4), (0, 3)], False),  # both fall
        ([], False),
    ],
)
def test_when_the_rewards_part(pairs, parts):
    rows = [{"step": 9, "loss": 1.0}, *history(*pairs)]
    assert bool(parted(rows, rise=0.5, falls=2)) == parts


def test_the_rise_is_in_spreads_and_the_reason_tells_figures():
    pairs = [(0, 5), (1, 4), (2, 3)]
    assert not parted(history(*pairs, spread=4.0), rise=0.5, falls=2)
    told = parted(history(*pairs), rise=0.5, falls=2)
    assert "since step 0" in told
    assert "risen by 2 " in told
    assert "in 2 evaluations in a row, from 5 to 3" in told


class Falling:
    """Scores less at every call, and keeps the answers that it was shown."""

    name = "falling"

    def __init__(self):
        self.calls, self.sources = 0, set()

    def score(self, groups):
        self.calls += 1
        self.sources |= {r.source for g in groups for r in g.responses}
        return [[-float(self.calls)] * len(g.responses) for g in groups]


class Rising(Falling):
    """Scores more at every call, and one answer of each group more than the others."""

    def score(self, groups):
        self.calls += 1
        return [[float(self.calls + i) for i in range(len(g.responses))] for g in groups]


@pytest.mark.parametrize("stops", [True, False])
def test_a_run_whose_rewards_part_stops_or_says_so(
    tmp_path, tokenizer, steering, queries, caplog, stops
):
    watched = Falling()
    watch = RewardWatch(watched, rise=0.0, falls=2, stops=stops)
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, eval_dataset=HELD_OUT, callbacks=[watch],
        reward_funcs=Rising(), **STEPS,
    )  # fmt: skip
    trainer.train()
    assert watched.sources == {"plain"}
    assert trainer.state.global_step == (3 if stops else 5)
    assert f"step 3, {'stopping' if stops else 'going on'}: since step 1" in caplog.text
    found = [row for row in rows(tmp_path) if "eval/watched_reward" in row]
    assert [row["eval/watched_reward"] for row in found][:3] == [-1.0, -2.0, -3.0]
    assert [PARTED in row for row in found][:3] == [False, False, True]
    assert parting(trainer.state.log_history).startswith("since step 1")
    assert (tmp_path / "checkpoint-3").is_dir() == stops
    if stops:  # resumed, it has ended
        again = trainer_of(
            tmp_path, tokenizer, steering, queries, eval_dataset=HELD_OUT, callbacks=[watch],
            reward_funcs=Rising(), **STEPS,
        )  # fmt: skip
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
        assert again.state.global_step == 3
        assert parting(again.state.log_history).startswith("since step 1")


def test_a_reward_that_goes_along_changes_nothing(tmp_path, tokenizer, steering, queries):
    watch = RewardWatch(Rising(), rise=0.0, falls=1)
    trainer = trainer_of(
        tmp_path, tokenizer, steering, queries, eval_dataset=HELD_OUT, callbacks=[watch],
        reward_funcs=Rising(), **STEPS | {"max_steps": 2},
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 2
    assert parting(trainer.state.log_history) == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eval_dataset": None}, "one set of held-out queries"),
        ({"eval_dataset": {"a": HELD_OUT, "b": HELD_OUT}}, "one set of held-out queries"),
        ({"plain_samples": 0}, "no such answer is drawn"),
    ],
)
def test_what_would_see_nothing_is_refused(tmp_path, tokenizer, steering, queries, settings, words):
    given = {"eval_dataset": HELD_OUT, **settings}
    given |= {"eval_strategy": "no"} if given["eval_dataset"] is None else STEPS
    watch = RewardWatch(RewardFunction(lambda completions, **_: [0.0] * len(completions)))
    with pytest.raises(InputError, match=words):
        trainer_of(tmp_path, tokenizer, steering, queries, callbacks=[watch], **given)


@pytest.fixture
def recipe(tmp_path, model_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train", "held", "test"):
        lines = ({"prompt": f"how do I {name} lamp {i}?"} for i in range(3))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    (tmp_path / "r.py").write_text(
        "calls = {'up': 0, 'down': 0}\n"
        "def up(completions, **kw):\n"
        "    calls['up'] += 1\n"
        "    return [float(calls['up'] + i) for i, _ in enumerate(completions)]\n"
        "def down(completions, **kw):\n"
        "    calls['down'] += 1\n"
        "    return [-float(calls['down']) for _ in completions]\n"
    )
    return {
        "model": str(model_dir),
        "queries": "train.jsonl",
        "steering": {"negative": "Answer badly.", "try_queries": 0},
        "sample": {"positive": 1, "negative": 1, "plain": 1, "max_new_tokens": 4},
        "reward": {"functions": ["r.py:up"]},
        "train": {"max_steps": 4, "use_cpu": True, "eval_strategy": "steps", "eval_steps": 1},
        "evaluate": {
            "queries": "test.jsonl", "during_training": "held.jsonl",
            "heldout_reward": "r.py:down", "watch": "stop", "watch_rise": 0.1,
        },
    }  # fmt: skip


def test_a_run_stops_and_its_results_say_why(recipe, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = CliRunner().invoke(app, ["run", "recipe.yaml", "-o", "out"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    stages = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert stages["train"]["steps"] == 3
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results[PARTED].startswith("since step 1")
    assert results[PARTED] == stages["train"][PARTED]
    whole = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert cautions(whole, {})[0].startswith("the rewards part: since step 1")
    assert "caution: the rewards part" in done.output
    assert (tmp_path / "out" / "policy").is_dir()


@pytest.mark.parametrize(
    ("section", "given", "words"),
    [
        ("evaluate", {"heldout_reward": None}, "give evaluate.heldout_reward"),
        ("evaluate", {"heldout_reward": "r.py:up"}, "cannot part from itself"),
        ("evaluate", {"during_training": None}, "no queries to look at during training"),
        ("sample", {"plain": 0}, "set sample.plain"),
    ],
)
def test_a_recipe_that_cannot_watch_is_refused(recipe, section, given, words):
    recipe[section] |= given
    assert words in "\n".join(map(str, check_recipe(recipe_from(recipe))))


def test_an_older_recipe_is_the_same_run(recipe):
    for name in ("watch", "watch_rise"):
        del recipe["evaluate"][name]
    written = recipe_from(recipe).evaluate.model_dump()
    assert not {"watch", "watch_rise", "watch_falls", "max_new_tokens"} & set(written)
