"""`neat run` and `neat demo` killed for real, and resumed: the same, bit for bit."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from tests.end_to_end.test_runs import folder, neat, recipe  # noqa: F401

from neat_align.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def start(*words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "neat_align", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process, line):
    """Read what the run tells until it begins a line so."""
    for told in process.stdout:
        if told.startswith(line):
            return
    pytest.fail(f"the run ended without {line!r}")


def wait_for_steps(process, output, count):
    """Wait until that many steps are logged."""
    metrics = output / "train" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < count:
        if process.poll() is not None:
            pytest.fail(f"the run ended before step {count}")
        time.sleep(0.005)


def finished(*words):
    process = start(*words)
    told, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, told
    return told


def result(output):
    """Collect what must not depend on a kill: all that was trained, told and measured."""
    rows = [json.loads(r) for r in (output / "train" / "metrics.jsonl").read_text().splitlines()]
    timeless = [
        {k: v for k, v in row.items() if "seconds" not in k and "per_second" not in k}
        for row in rows
    ]
    weights = {p.parent.name: p.read_bytes() for p in output.glob("*/model.safetensors")}
    last = max((output / "train").glob("checkpoint-*"), key=lambda p: int(p.name[11:]))
    state = {p.name: p.read_bytes() for p in last.glob("*.pt*")}  # optimiser, scheduler, RNG
    groups = (last / "pending_groups_0.jsonl").read_bytes()
    figures = json.loads((output / "evaluation.json").read_text())["models"]
    return weights, timeless, last.name, state, groups, figures


def kill_and_resume(words, output, seconds, rng, times):
    """Start, kill and resume `times`, at moments of a run that takes `seconds`; then finish it.

    Returns how often it was still running when the signal came.
    """
    interrupted = 0
    for how in SIGNALS[:times]:
        process = start(*words, "-o", output, *["--resume"] * output.exists())
        time.sleep(rng.uniform(0.3, 1.0) * seconds)
        interrupted += process.poll() is None
        process.send_signal(how)
        process.communicate(timeout=600)
    finished(*words, "-o", output, *["--resume"] * output.exists())
    return interrupted


@pytest.fixture
def whole(recipe, folder):  # noqa: F811
    """Write the recipe, run it uninterrupted, and time the run."""
    content = {**yaml.safe_load(recipe.read_text()), "seed": 4}
    content["train"] |= {"max_steps": 6, "save_steps": 1, "save_total_limit": 2}
    path = folder / "killed.yaml"
    path.write_text(yaml.safe_dump(content))
    begin = time.monotonic()
    finished("run", path, "-o", folder / "whole")
    return path, result(folder / "whole"), time.monotonic() - begin


def test_a_run_killed_three_times_ends_as_if_it_had_not_been(whole, folder):  # noqa: F811
    path, expected, _ = whole
    words = ("run", path, "-o", folder / "killed")
    for how, steps in zip(SIGNALS, (2, 4, 6)):
        process = start(*words, *["--resume"] * (folder / "killed").exists())
        if how == signal.SIGINT:
            wait_for(process, "evaluate")
        else:
            wait_for_steps(process, folder / "killed", steps)
        process.send_signal(how)
        process.communicate(timeout=600)
        assert process.returncode != 0
    finished(*words, "--resume")
    assert result(folder / "killed") == expected


@pytest.mark.nightly
def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(whole, folder):  # noqa: F811
    path, expected, seconds = whole
    rng = random.Random(20)
    interrupted = 0
    for attempt in range(20):
        output = folder / f"killed_{attempt}"
        interrupted += kill_and_resume(("run", path), output, seconds, rng, 1 + attempt % 3)
        assert result(output) == expected, f"attempt {attempt}"
        shutil.rmtree(output)
    assert interrupted


@pytest.mark.nightly
def test_a_demo_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path):
    begin = time.monotonic()
    finished("demo", "-o", tmp_path / "whole")
    seconds, expected = time.monotonic() - begin, result(tmp_path / "whole")
    assert {"model", "reward", "heldout_reward", "policy"} <= set(expected[0])
    interrupted = kill_and_resume(("demo",), tmp_path / "killed", seconds, random.Random(0), 3)
    assert interrupted
    assert result(tmp_path / "killed") == expected


STOPPING_REWARD = """
import os, signal
calls = []
def no_lamp(prompts, completions, **kwargs):
    calls.append(prompts)
    if str(len(calls)) == os.environ.get("STOP_AT"):
        os.kill(os.getpid(), signal.SIGTERM)
    return [1.0 - c.count("lamp") for c in completions]
"""


def test_a_run_told_to_stop_saves_the_step_it_was_at(recipe, folder):  # noqa: F811
    (folder / "rewards.py").write_text(STOPPING_REWARD)
    more = ("train.max_steps=5", "train.save_steps=1000", "train.refresh_every=1")
    neat("run", recipe, *more, "-o", folder / "whole")
    output = folder / "stopped"
    process = start("run", recipe, *more, "-o", output, STOP_AT="3")
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 143, told
    assert "finished and saved" in told
    (saved,) = (output / "train").glob("checkpoint-*")
    assert saved.name == "checkpoint-3"
    neat("run", recipe, *more, "-o", output, "--resume")
    assert result(output) == result(folder / "whole")


def test_an_interrupted_run_says_how_to_go_on(recipe, folder):  # noqa: F811
    process = start("run", recipe, "-o", folder / "stopped")
    wait_for(process, "train")
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 130, told
    assert "--resume" in told
    assert "Traceback" not in told
    neat("run", recipe, "-o", folder / "stopped", "--resume")


def test_two_runs_on_one_directory_are_refused(recipe, folder, monkeypatch, capsys):  # noqa: F811
    first = start("run", recipe, "-o", folder / "both")
    wait_for(first, "train")
    os.kill(first.pid, signal.SIGSTOP)  # it is at work as long as this test wants
    words = ["neat", "run", str(recipe), "-o", str(folder / "both"), "--resume"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        main()
    os.kill(first.pid, signal.SIGCONT)
    assert stopped.value.code == 2
    assert "another run" in capsys.readouterr().err
    told, _ = first.communicate(timeout=600)
    assert first.returncode == 0, told
