"""Engines: they draw what the policy would, and a stale or wrong copy stops the run."""

import copy
import importlib.machinery
import inspect
import json
import sys
import types

import pytest
import torch
from peft import LoraConfig
from tests.conftest import make_llama
from tests.trainers import assert_same, length_reward, rows, trainer_of, weights
from tests.unit.adapter_stub import AdapterStub, draw
from trl.generation import vllm_generation

from neat_align.errors import InputError, RecipeError, ServerError, TrainingError
from neat_align.models import load_causal_lm
from neat_align.sampling.base import Decoding
from neat_align.training.config import NEATConfig
from neat_align.training.engines import vllm as vllm_module
from neat_align.training.engines.vllm import VLLMEngine

REAL = inspect.signature(vllm_generation.VLLMGeneration.__init__)


class FakeGeneration:
    """`VLLMGeneration` without vLLM: its own copy of the model, and plain decoding."""

    copied = staticmethod(lambda name, syncs: True)  # whether a sync moves this weight
    width = 1  # log-probs a token

    def __init__(self, **options):
        REAL.bind(self, **options)  # TRL would take these arguments
        self.options, self.syncs, self.calls = options, 0, []
        self.copy = copy.deepcopy(options["model"]).eval()
        type(self).made.append(self)

    def sync_weights(self):
        self.syncs += 1
        own = dict(self.options["model"].named_parameters())
        with torch.no_grad():
            for name, weight in self.copy.named_parameters():
                if self.copied(name, self.syncs):
                    weight.copy_(own[name])

    def generate(self, prompts, images, num_generations):
        assert images is None
        assert num_generations == 1
        self.calls.append((len(prompts), self.temperature, self.max_completion_length))
        kwargs = self.generation_kwargs
        drawn = [
            draw(
                self.copy,
                prompt,
                i,
                self.max_completion_length,
                self.temperature,
                kwargs["stop_token_ids"],
            )
            for i, prompt in enumerate(prompts)
        ]
        logps = [[[logp] * self.width for logp in row] for _, row in drawn]
        return prompts, [ids for ids, _ in drawn], logps, None


@pytest.fixture
def vllm(monkeypatch):
    module = types.ModuleType("vllm")
    module.__spec__ = importlib.machinery.ModuleSpec("vllm", None)
    monkeypatch.setitem(sys.modules, "vllm", module)
    fake = type("Fake", (FakeGeneration,), {"made": []})
    monkeypatch.setattr(vllm_generation, "VLLMGeneration", fake)
    return fake


@pytest.fixture
def server(tokenizer):
    stub = AdapterStub(make_llama(tokenizer))
    yield stub
    stub.close()


def lora():
    return LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")


def trained(path, tokenizer, steering, queries, **settings):
    trainer = trainer_of(path, tokenizer, steering, queries, temperature=0.0, **settings)
    trainer.train()
    return trainer


def test_trl_generates_as_we_call_it():
    called = list(inspect.signature(vllm_generation.VLLMGeneration.generate).parameters)
    assert called[:4] == ["self", "prompts", "images", "num_generations"]
    source = inspect.getsource(vllm_generation.VLLMGeneration.generate)
    for name in ("temperature", "top_p", "top_k", "min_p", "max_completion_length"):
        assert f"self.{name}" in source  # read at each call, so that it can be set
    assert "self.generation_kwargs" in source


@pytest.mark.parametrize("engine", ["vllm", "vllm-server"])
def test_vllm_trains_as_the_policys_own_forward(
    tmp_path, tokenizer, steering, queries, vllm, model_dir, engine
):
    url = {"engine_url": "http://gpu:8000"} if engine == "vllm-server" else {}
    own = trained(tmp_path / "own", tokenizer, steering, queries, model=load_causal_lm(model_dir))
    model = load_causal_lm(model_dir)
    settings = {"engine": engine, "model": model, **url}
    by_engine = trained(tmp_path / "engine", tokenizer, steering, queries, **settings)
    assert_same(weights(own), weights(by_engine))
    (generation,) = vllm.made
    assert generation.options["mode"] == ("server" if url else "colocate")
    assert generation.syncs == 4  # one before each sampling
    assert {call[1] for call in generation.calls} == {0.0, 1.0}  # sampling, and probes
    differences = [row["engine/logp_difference"] for row in rows(tmp_path / "engine")]
    assert len(differences) == 4
    assert max(differences) < 1e-4


def test_ranks_ask_a_vllm_server_for_the_same_number(monkeypatch):
    """TRL gives each rank the slice that it would have if all had asked for as many."""
    generation = types.SimpleNamespace(
        generate=lambda prompts, images, n: (
            prompts, [[i] for i in range(len(prompts))], [[[0.0]]] * len(prompts), None
        )
    )  # fmt: skip
    engine = VLLMEngine.__new__(VLLMEngine)
    engine.generation, engine.is_server = generation, True
    monkeypatch.setattr(vllm_module, "gather_object", lambda counts: [*counts, 5])
    asked = []
    generate = generation.generate
    generation.generate = lambda prompts, *rest: (asked.append(prompts), generate(prompts, *rest))[
        1
    ]
    drawn = engine.draw([[7, 8], [9]], [0, 1], Decoding(), [3], ())
    assert asked == [[[7, 8], [9], [3], [3], [3]]]
    assert [d.token_ids for d in drawn] == [[0], [1]]


@pytest.mark.parametrize(
    "copied",
    [
        lambda name, syncs: syncs < 3,  # stale from the third sync on
        lambda name, syncs: "layers.1" not in name,  # a layer is forgotten
    ],
)
def test_an_engine_with_other_weights_stops_the_run(
    tmp_path, tokenizer, steering, queries, vllm, model_dir, copied
):
    vllm.copied = staticmethod(copied)
    settings = {"engine": "vllm", "model": load_causal_lm(model_dir), "engine_tolerance": 1e-3}
    with pytest.raises(TrainingError, match="its copy of the weights is not the policy"):
        trained(tmp_path, tokenizer, steering, queries, learning_rate=1e-2, **settings)
    assert vllm.made[0].syncs in (2, 3)


def test_an_engine_that_reports_nonsense_stops_the_run(
    tmp_path, tokenizer, steering, queries, vllm, model_dir, monkeypatch
):
    for wrong in ([[float("nan")]] * 3, [[-1.0]] * 2):  # for three tokens
        generate = lambda self, p, i, n, w=wrong: (p, [[5, 6, 7]] * len(p), [w] * len(p), None)  # noqa: E731
        monkeypatch.setattr(vllm, "generate", generate)
        settings = {"engine": "vllm", "model": load_causal_lm(model_dir)}
        with pytest.raises(TrainingError, match="engine"):
            trained(tmp_path, tokenizer, steering, queries, **settings)


def test_an_engine_that_leaves_out_the_ending_token_stops_the_run(
    tmp_path, tokenizer, steering, queries, vllm, model_dir, monkeypatch
):
    generate = vllm.generate

    def without_ends(self, prompts, images, n):
        _, ids, logps, rest = generate(self, prompts, images, n)
        if self.temperature == 0:  # not in the probe
            ids[0] = []
        return prompts, ids, logps, rest

    monkeypatch.setattr(vllm, "generate", without_ends)
    settings = {"engine": "vllm", "model": load_causal_lm(model_dir)}
    with pytest.raises(TrainingError, match="without a token"):
        trained(tmp_path, tokenizer, steering, queries, **settings)


def test_vllm_that_is_not_installed(tmp_path, tokenizer, steering, queries):
    with pytest.raises(RecipeError, match=r"neat-align\[vllm\]"):
        trainer_of(tmp_path, tokenizer, steering, queries, engine="vllm")


def test_vllm_needs_a_model_with_a_name(tmp_path, tokenizer, steering, queries, vllm):
    with pytest.raises(TrainingError, match="built in memory"):
        trainer_of(tmp_path, tokenizer, steering, queries, engine="vllm")


def test_adapters_are_loaded_while_the_server_runs(tmp_path, tokenizer, steering, queries, server):
    own = trained(tmp_path / "own", tokenizer, steering, queries, peft_config=lora())
    settings = {"engine": "adapter-server", "engine_url": server.url, "peft_config": lora()}
    by_server = trained(tmp_path / "server", tokenizer, steering, queries, **settings)
    assert_same(weights(own), weights(by_server))
    assert len(set(server.loads)) == 4
    assert server.unloads == server.loads  # the last one when training ended
    assert not list((tmp_path / "server" / "adapters").iterdir())
    assert all(body["return_token_ids"] for body in server.bodies)


def test_a_seed_fixes_a_servers_response(tmp_path, tokenizer, steering, queries, server):
    settings = {"engine": "adapter-server", "engine_url": server.url, "max_steps": 2}
    runs = []
    for name in ("a", "b"):
        settings["peft_config"] = lora()
        torch.manual_seed(0)  # of the adapter
        runs.append(trainer_of(tmp_path / name, tokenizer, steering, queries, **settings))
        runs[-1].train()
    assert_same(weights(runs[0]), weights(runs[1]))


def test_a_server_that_keeps_an_old_adapter_stops_the_run(
    tmp_path, tokenizer, steering, queries, server
):
    server.stale = True
    settings = {"engine": "adapter-server", "engine_url": server.url, "peft_config": lora()}
    settings |= {"learning_rate": 1e-2, "engine_tolerance": 1e-3}
    with pytest.raises(TrainingError, match="its copy of the weights is not the policy"):
        trained(tmp_path, tokenizer, steering, queries, **settings)
    assert server.unloads == server.loads


def test_what_the_server_refuses_is_told(tmp_path, tokenizer, steering, queries, server):
    server.refuses = "LoRA rank 4 is greater than max_lora_rank 2"
    settings = {"engine": "adapter-server", "engine_url": server.url, "peft_config": lora()}
    with pytest.raises(ServerError, match="max_lora_rank"):
        trained(tmp_path, tokenizer, steering, queries, **settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"engine": "vlm"}, "'vllm'"),
        ({"engine": "adapter-server"}, "engine_url"),
        ({"engine_url": "http://a/v1"}, "no server is asked"),
        ({"engine": "vllm-server", "engine_url": "gpu:8000"}, "address"),
        ({"engine": "vllm-server", "engine_url": "http://k:hush@gpu/v1"}, "key_variable"),
        ({"engine": "vllm", "engine_tolerance": -1}, "engine_tolerance"),
    ],
)
def test_settings_that_cannot_be(tmp_path, settings, told):
    with pytest.raises(InputError) as caught:
        NEATConfig(output_dir=str(tmp_path), **settings)
    assert told in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_engine_that_nothing_would_ask(tmp_path, tokenizer, steering, queries):
    settings = {"engine": "adapter-server", "engine_url": "http://127.0.0.1:9/v1"}
    with pytest.raises(TrainingError, match="only an adapter"):
        trainer_of(tmp_path, tokenizer, steering, queries, **settings)
    sampler = types.SimpleNamespace(name="own", sample=lambda requests, decoding: [])
    with pytest.raises(TrainingError, match="nothing is drawn from the policy"):
        trainer_of(
            tmp_path, tokenizer, steering, queries, sampler=sampler, peft_config=lora(), **settings
        )


def test_rewards_still_come_from_the_trainer(tmp_path, tokenizer, steering, queries, server):
    """The engine's responses carry the ids that it drew."""
    seen = []

    def reward(completions, completion_ids, **kwargs):
        seen.extend(completion_ids)
        return length_reward(completions)

    settings = {"engine": "adapter-server", "engine_url": server.url, "peft_config": lora()}
    trained(tmp_path, tokenizer, steering, queries, reward_funcs=reward, max_steps=1, **settings)
    bodies = [body for body in server.bodies if body["temperature"] == 0]
    assert len(seen) == len(bodies)
    assert json.dumps(seen)
