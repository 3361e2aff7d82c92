"""`neat train` by several processes, under each launcher, equals `neat train` by one."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file
from tests.conftest import make_llama
from tests.parallel.test_ranks import SCRIPT, SOURCES, TORCHRUN
from typer.testing import CliRunner

from neat_align import cli
from neat_align.cli import app
from neat_align.training.launch import processes_asked

ACCELERATE = ("-m", "accelerate.commands.launch")
TWO_ON_CPU = (*ACCELERATE, "--multi_gpu", "--num_processes", "2", "--mixed_precision", "no")
NEAT = ("-m", "neat_align", "train", "recipe.yaml")
HALF = "train.per_device_train_batch_size=2"


pytestmark = pytest.mark.xdist_group("launchers")  # they share what was trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    tmp_path = tmp_path_factory.mktemp("launched")
    make_llama(tokenizer).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(20)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "rewards.py").write_text(
        "def few_es(completions, **kwargs):\n"
        "    return [-c.count('e') - len(c) / 100 for c in completions]\n"
    )
    recipe = {
        "model": "model",
        "queries": "q.jsonl",
        "steering": {"negative": "Answer badly.", "try_queries": 0},
        "sample": {"positive": 1, "negative": 1, "plain": 1, "max_new_tokens": 6},
        "reward": {"functions": ["rewards.py:few_es"]},
        "objective": {"name": "neat"},
        "train": {
            "max_steps": 4,
            "save_steps": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.05,
            "optim": "sgd",  # Adam makes much of the last digit of a gradient near zero
            "max_grad_norm": 0,
            "use_cpu": True,
        },
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def launched(folder, *words, prefix=(), **environment):
    return subprocess.run(
        [*prefix, sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def trained(folder, name, *words, **environment):
    done = launched(folder, *words, "-o", name, **environment)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("written:") == 1  # by one of them
    return outcome(folder / name)


def outcome(directory):
    rows = [json.loads(r) for r in (directory / "train" / "metrics.jsonl").read_text().splitlines()]
    return load_file(directory / "policy" / "model.safetensors"), rows


def assert_equal(found, expected):
    assert [row["step"] for row in found[1]] == [1, 2, 3, 4]
    for name in ("loss", "reward", "kl", "logps/chosen", "loss/rank"):  # means over all ranks
        told = [[row[name] for row in rows] for _, rows in (found, expected)]
        assert told[0] == pytest.approx(told[1], rel=1e-3, abs=1e-5), name
    for name, tensor in expected[0].items():
        torch.testing.assert_close(found[0][name], tensor, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def alone(folder):
    return trained(folder, "alone", *NEAT)


TWO_BY_TORCHRUN = (*TORCHRUN, "--nproc_per_node=2", *NEAT, HALF)


@pytest.fixture(scope="module")
def two(folder):
    return trained(folder, "two", *TWO_BY_TORCHRUN)


def test_two_processes_equal_one(two, alone):
    assert_equal(two, alone)


def test_two_processes_of_accelerate_equal_one(folder, alone, tmp_path):
    assert_equal(trained(folder, tmp_path / "two", *TWO_ON_CPU, *NEAT, HALF), alone)


def test_two_processes_go_on_from_a_checkpoint(folder, two):
    expected = two
    shutil.copytree(folder / "two", folder / "cut")
    shutil.rmtree(folder / "cut" / "policy")
    shutil.rmtree(folder / "cut" / "train" / "checkpoint-4")
    weights, rows = trained(folder, "cut", *TWO_BY_TORCHRUN, "--resume")
    assert all(torch.equal(weights[name], expected[0][name]) for name in weights)
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected[1]]


@pytest.fixture
def two_machines():
    """Two network namespaces joined by a cable, each with an address of its own."""
    names = [f"neat{os.getpid()}{side}" for side in "ab"]

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True)

    if shutil.which("ip") is None or ip("netns", "add", names[0]).returncode:
        pytest.skip("network namespaces need iproute2 and root")
    try:
        ip("netns", "add", names[1])
        ip("link", "add", "cable0", "netns", names[0], "type", "veth",
           "peer", "name", "cable0", "netns", names[1])  # fmt: skip
        for i, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", "cable0")
            assert not ip("-n", name, "link", "set", "cable0", "up").returncode
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


def test_two_machines_equal_one(folder, alone, two_machines, tmp_path):
    started = []
    for i, name in enumerate(two_machines):
        words = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run",
                 "--nnodes=2", f"--node_rank={i}", "--nproc_per_node=1",
                 "--master_addr=10.77.0.1", "--master_port=29400",
                 *NEAT, HALF, "-o", tmp_path / "two"]  # fmt: skip
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "cable0", "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(words, cwd=folder, env=environment))
    assert [process.wait(timeout=600) for process in started] == [0, 0]
    assert_equal(outcome(tmp_path / "two"), alone)


@pytest.mark.nightly
@pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed"
)
def test_zero_2_equals_one_process(folder, alone, tmp_path):
    config = CliRunner().invoke(app, ["launch", "show", "zero2"]).output
    config = config.replace("num_processes: 8", "num_processes: 2").replace("bf16", '"no"')
    (folder / "zero2.yaml").write_text(config)
    words = (*ACCELERATE, "--config_file", "zero2.yaml", *NEAT, HALF)
    assert_equal(trained(folder, tmp_path / "two", *words, DS_ACCELERATOR="cpu"), alone)


@pytest.mark.parametrize(
    ("launcher", "why"),
    [
        ((*ACCELERATE, "--cpu", "--num_processes", "2"), "2 processes asked for, and 1 take part"),
        ((*ACCELERATE, "--config_file", "fsdp2.yaml"), "FSDP asked of the launcher"),
    ],
)
def test_a_launch_that_fell_back_is_refused(folder, tmp_path, launcher, why):
    config = CliRunner().invoke(app, ["launch", "show", "fsdp2"]).output
    config = config.replace("num_processes: 8", "num_processes: 2").replace("bf16", '"no"')
    (folder / "fsdp2.yaml").write_text(config)
    done = launched(folder, *launcher, *NEAT, HALF, "-o", tmp_path / "two")
    assert done.returncode != 0
    assert done.stderr.count(f"error: {why}") == 1, done.stderr[-3000:]
    assert not (tmp_path / "two" / "policy").exists()


def test_wrong_input_is_told_once(folder):
    done = launched(folder, *TORCHRUN, "--nproc_per_node=2", *NEAT, "objective.name=naet")
    assert done.returncode != 0
    assert done.stderr.count("error: objective 'naet'") == 1
    assert not (folder / "runs").exists()


def test_an_error_of_a_later_rank_alone_is_told(monkeypatch, capsys):
    """The first rank is given time to tell the same; after that it is this one's own error."""
    waited = []
    monkeypatch.setattr(cli.time, "sleep", waited.append)
    monkeypatch.setattr(sys, "argv", ["neat", "recipe", "check", "nowhere.yaml"])
    for rank, patience in (("0", []), ("1", [cli.FIRST_TELLS])):
        monkeypatch.setenv("LOCAL_RANK", rank)
        waited.clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        assert waited == patience
        assert "nowhere.yaml" in capsys.readouterr().err


def test_weights_in_shards_serve_ranks_at_their_own_pace(tmp_path):
    script = SCRIPT.with_name("shard_ranks.py")
    done = launched(tmp_path, *TORCHRUN, "--nproc_per_node=2", script, tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert {p.name for p in tmp_path.iterdir()} == {"rank_0", "rank_1"}


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero2", "zero3"])
def test_the_shipped_configs_are_accelerates(tmp_path, name):
    path = tmp_path / "config.yaml"
    told = CliRunner().invoke(app, ["launch", "copy", name, str(path)])
    assert told.exit_code == 0
    config = load_config_from_file(str(path))
    assert config.num_processes == 8
    assert name in CliRunner().invoke(app, ["launch", "list"]).output


@pytest.mark.parametrize(
    ("command", "processes"),
    [
        (["python", "/bin/accelerate", "launch", "--cpu", "--num_processes", "2", "x.py"], 2),
        (["accelerate-launch", "--num_processes=3", "x.py"], 3),
        (["python", "-m", "accelerate.commands.launch", "--config_file", "C", "x.py"], 4),
        (["python", "-m", "accelerate.commands.launch", "x.py"], None),
        (["bash", "-c", "launch --num_processes 2"], None),
        ([], None),
    ],
)
def test_what_a_launcher_was_asked_for(tmp_path, command, processes):
    config = tmp_path / "config.yaml"
    config.write_text("num_processes: 4\n")
    assert processes_asked([str(config) if word == "C" else word for word in command]) == processes
