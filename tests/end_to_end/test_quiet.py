"""A run's console holds what we say, and nothing that libraries say about themselves."""

import os
import subprocess
import sys

import yaml

from neat_align.cli.quiet import _shown, quiet_console
from neat_align.cli.warnings import warn

SPOKEN = (
    "device ",
    "train …",
    "train: ",
    "evaluate …",
    "evaluate: ",
    "report …",
    "report: ",
    "caution: ",
)


def test_a_run_says_nothing_but_ours(tmp_path, model_dir):
    (tmp_path / "q.txt").write_text("what is a lamp?\nwhat is a cloth?\n")
    (tmp_path / "t.txt").write_text("what is a kettle?\n")
    recipe = {
        "model": str(model_dir),
        "queries": "q.txt",
        "steering": {"negative": "Be rude.", "try_queries": 0},
        "sample": {"positive": 1, "negative": 1, "plain": 0, "max_new_tokens": 4},
        "reward": {"functions": ["r.py:score"]},
        "train": {"max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True, "lora": {}},
        "evaluate": {"queries": "t.txt"},
    }
    (tmp_path / "r.py").write_text("def score(completions, **k): return [*map(len, completions)]\n")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    hidden = ("TQDM_DISABLE", "TRANSFORMERS_VERBOSITY", "PYTHONWARNINGS")
    done = subprocess.run(
        [sys.executable, "-m", "neat_align", "run", "recipe.yaml", "-o", "out"],
        env={name: value for name, value in os.environ.items() if name not in hidden},
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    foreign = [
        line for line in done.stderr.splitlines() if not line.startswith(("warning: ", "device "))
    ]
    assert foreign == []
    assert "deprecated" not in done.stderr
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    table = [line for line in lines if line[0] in "┏┃┡│└┗├+|"]
    rest = [line for line in lines if line not in table and not line.startswith(SPOKEN)]
    assert rest == []
    assert table


def test_what_a_command_has_warned_of_is_not_said_again(capsys):
    quiet_console()
    warn(["the negative prompt forbids"])
    _shown("the negative prompt forbids", UserWarning, "", 0)
    _shown("something else", UserWarning, "", 0)
    told = capsys.readouterr().err
    assert told.count("forbids") == 1
    assert "something else" in told
