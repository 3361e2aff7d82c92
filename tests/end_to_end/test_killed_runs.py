"""`neat run` killed for real, at any moment, and resumed: the same policy, bit for bit.

NEAT_KILLS sets how many moments are tried; a nightly run takes 20.
"""

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
from tests.end_to_end.test_runs import folder, recipe  # noqa: F401

from neat_align.cli import main

KILLS = int(os.environ.get("NEAT_KILLS", "3"))
LEFT_BEHIND = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def start(recipe_path, output, *words):
    command = [sys.executable, "-m", "neat_align", "run", recipe_path, "-o", output, *words]
    return subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
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


def finished(recipe_path, output, *words):
    process = start(recipe_path, output, *words)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return told


def result(output):
    """What must not depend on having been killed: weights, figures, the metrics' rows."""
    rows = [json.loads(r) for r in (output / "train" / "metrics.jsonl").read_text().splitlines()]
    timeless = [
        {k: v for k, v in row.items() if "seconds" not in k and "per_second" not in k}
        for row in rows
    ]
    figures = json.loads((output / "evaluation.json").read_text())["models"]
    return (output / "policy" / "model.safetensors").read_bytes(), timeless, figures


@pytest.fixture
def whole(recipe, folder):  # noqa: F811
    """The recipe in a file, an uninterrupted run of it, and how long that took."""
    content = {**yaml.safe_load(recipe.read_text()), "seed": 4}
    content["train"] |= {"max_steps": 6, "save_steps": 1, "save_total_limit": 2}
    path = folder / "killed.yaml"
    path.write_text(yaml.safe_dump(content))
    begin = time.monotonic()
    finished(path, folder / "whole")
    return path, result(folder / "whole"), time.monotonic() - begin


def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(whole, folder):  # noqa: F811
    path, expected, seconds = whole
    rng = random.Random(KILLS)
    interrupted = 0
    for attempt in range(KILLS):
        output = folder / f"killed_{attempt}"
        for how in LEFT_BEHIND[: 1 + attempt % 3]:  # some are killed again while they resume
            words = ["--resume"] if output.exists() else []
            process = start(path, output, *words)
            time.sleep(rng.uniform(0.3, 1.0) * seconds)
            interrupted += process.poll() is None
            process.send_signal(how)
            process.communicate(timeout=60)
        finished(path, output, *(["--resume"] if output.exists() else []))
        assert result(output) == expected, f"attempt {attempt}"
        shutil.rmtree(output)
    assert interrupted


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on(recipe, folder, how, status):  # noqa: F811
    process = start(recipe, folder / "stopped")
    wait_for(process, "train")
    process.send_signal(how)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == status, told
    assert "--resume" in told
    assert "Traceback" not in told
    finished(recipe, folder / "stopped", "--resume")


def test_two_runs_on_one_directory_are_refused(recipe, folder, monkeypatch, capsys):  # noqa: F811
    first = start(recipe, folder / "both")
    wait_for(first, "train")
    os.kill(first.pid, signal.SIGSTOP)  # it is at work as long as this test wants
    words = ["neat", "run", str(recipe), "-o", str(folder / "both"), "--resume"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        main()
    os.kill(first.pid, signal.SIGCONT)
    assert stopped.value.code == 2
    assert "another run" in capsys.readouterr().err
    told, _ = first.communicate(timeout=300)
    assert first.returncode == 0, told
