"""Reward code through the command line: what is known early, and what it tells when it scores."""

import json

import pytest
from tests.end_to_end.test_bad_input import folder, neat, refused  # noqa: F401
from typer.testing import CliRunner

from neat_align.cli import app

CODE = """
def asks(completions, answer): return [0.0] * len(completions)
class Empty: pass
def tells(completions, log_metric, log_extra, trainer_state):
    assert trainer_state is None
    log_metric("short", 0.25)
    log_extra("size", [len(c) for c in completions])
    return [float(len(c)) for c in completions]
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("code.py:asks", ["code.py, line 2", "'answer'"]),
        ("code.py:Empty", ["code.py, line 3", "__call__"]),
        ("code.py:tels", ["did you mean 'tells'?"]),
        ("code.py", ["write ", "code.py:NAME"]),
    ],
)
def test_a_recipe_check_looks_into_reward_code(neat, folder, name, words):  # noqa: F811
    (folder / "code.py").write_text(CODE)
    done = neat("recipe", "check", "recipe.yaml", f"reward.functions=[{name}]", cwd=folder)
    refused(done, *words)


def test_what_importing_raises_stops_a_run_before_a_model_is_loaded(neat, folder):  # noqa: F811
    (folder / "code.py").write_text(f"{CODE}\nraise SystemExit(4)\n")
    done = neat("run", "recipe.yaml", "reward.functions=[code.py:tells]", "-o", "out", cwd=folder)
    refused(done, "sys.exit(4)", "code.py, line 10")
    assert not (folder / "out" / "run.json").exists()


def test_scores_metrics_and_what_is_not_kept_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    group = {
        "query": {"messages": [{"role": "user", "content": "q"}], "conversational": False},
        "responses": [{"text": t, "source": "plain"} for t in ("a", "bb")],
    }
    (tmp_path / "groups.jsonl").write_text(json.dumps(group) + "\n")
    words = ["score", "groups.jsonl", "-r", "code.py:tells", "-o", "scored.jsonl"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "short 0.25" in done.output
    assert "not kept: log_extra columns size" in done.output
