"""Two processes train as one does on the same global batch."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import DistributedType
from tests.conftest import CHAT_TEMPLATE, make_llama, make_tokenizer
from tests.unit.adapter_stub import AdapterStub

from neat_align.training.launch import launch_problems

ROOT = Path(__file__).resolve().parents[2]
SOURCES = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
SCRIPT = Path(__file__).with_name("train_ranks.py")


TORCHRUN = ("-m", "torch.distributed.run", "--standalone")


def launched(launcher, directory, *arguments, **environment):
    return subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(directory), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def trained(directory, ranks, *arguments, **environment):
    directory.mkdir()
    launcher = (*TORCHRUN, f"--nproc_per_node={ranks}")
    done = launched(launcher, directory, *arguments, **environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(directory / "result.pt")


def without_times(figures):
    return {
        name: value
        for name, value in figures.items()
        if "second" not in name and name != "eval/runtime"
    }


def of_the_whole(row):
    """Figures that do not depend on how the batch is dealt out; pairs of words do."""
    return {name: value for name, value in without_times(row).items() if name != "distinct_2"}


@pytest.mark.parametrize(
    ("kind", "max_tokens"), [("offline", 4096), ("offline", 60), ("online", 60)]
)
def test_two_ranks_equal_one_with_the_same_global_batch(tmp_path, kind, max_tokens):
    """With a small budget a rank does several passes, and its groups are split."""
    one = trained(tmp_path / "one", 1, kind, 4, max_tokens)
    two = trained(tmp_path / "two", 2, kind, 2, max_tokens)
    for found, expected in zip(two["rows"], one["rows"], strict=True):
        assert "spread/negative" in expected
        assert of_the_whole(found) == pytest.approx(of_the_whole(expected), rel=1e-4, abs=1e-5)
    assert ("eval/reward/negative" in one["held_out"]) == (kind == "online")
    assert without_times(two["held_out"]) == pytest.approx(without_times(one["held_out"]), rel=1e-4)
    for name, expected in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], expected, rtol=1e-4, atol=1e-6)


def test_two_ranks_share_a_server_that_loads_adapters(tmp_path):
    stub = AdapterStub(make_llama(make_tokenizer(CHAT_TEMPLATE)))
    try:
        one = trained(tmp_path / "one", 1, "adapters", 4, 4096, NEAT_TEST_URL=stub.url)
        loads = len(stub.loads)
        two = trained(tmp_path / "two", 2, "adapters", 2, 4096, NEAT_TEST_URL=stub.url)
    finally:
        stub.close()
    assert loads == 3
    assert len(stub.loads) == len(stub.unloads) == 6  # once for both ranks
    losses = [[row["loss"] for row in run["rows"]] for run in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, expected in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], expected, rtol=1e-4, atol=1e-6)


def test_a_launcher_that_fell_back_to_one_process_is_refused(tmp_path):
    accelerate = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    done = launched(accelerate, tmp_path, "offline", 2, 4096, NEAT_TEST_PROCESSES="2")
    assert done.returncode != 0
    assert "2 processes asked for, and 1 take part" in done.stderr
    assert not (tmp_path / "result.pt").exists()


@pytest.mark.parametrize(
    ("environment", "processes", "message"),
    [
        ({"WORLD_SIZE": "2"}, None, "2 processes launched, 1 of them together"),
        ({"ACCELERATE_USE_FSDP": "true"}, None, "FSDP asked of the launcher, NO found"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, 1, "DEEPSPEED asked of the launcher"),
        ({}, 4, "4 processes asked for, and 1 take part"),
    ],
)
def test_what_was_asked_and_not_given_is_told(monkeypatch, environment, processes, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    alone = SimpleNamespace(num_processes=1, distributed_type=DistributedType.NO)
    (problem,) = launch_problems(alone, processes)
    assert message in str(problem)
    for name in environment:
        monkeypatch.delenv(name)
    assert launch_problems(alone, 1) == []
