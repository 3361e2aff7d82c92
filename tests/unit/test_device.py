"""One rule for device and dtype, wherever a model is loaded; a GPU is stood in for."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.cli.devices import option_problems
from neat_align.errors import ModelError, NeatError
from neat_align.models import load_causal_lm, place
from neat_align.models.device import Placement, device_problems
from neat_align.recipe import check_recipe, recipe_from
from neat_align.training.precision import Precision, on_one_device
from neat_align.workflow.ray_shards import ray_problems


@pytest.fixture
def gpu(monkeypatch):
    """Two GPUs with bfloat16, by name: what is put there is recorded, and stays where it is."""
    put = []

    def to(module, where, *args, **kwargs):
        put.append((str(where), str(next(module.parameters()).dtype).removeprefix("torch.")))
        return module

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda d=None: "Card")
    monkeypatch.setattr(torch.nn.Module, "to", to)
    return put


def test_auto_on_a_machine_without_a_gpu():
    assert place() == Placement("cpu", "float32")
    assert place("cpu", "bfloat16") == Placement("cpu", "bfloat16")
    assert str(place()) == "device cpu, float32"


@pytest.mark.parametrize(("rank", "device"), [(None, "cuda:0"), ("1", "cuda:1"), ("3", "cuda:1")])
def test_auto_on_a_machine_with_gpus(gpu, monkeypatch, rank, device):
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert place() == place("cuda") == Placement(device, "bfloat16")
    assert place("cpu") == Placement("cpu", "float32")
    assert place(dtype="float32") == Placement(device, "float32")
    assert str(place("cuda:1")) == "device cuda:1 (Card), bfloat16"


def test_a_gpu_without_bfloat16_reads_in_float32(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: False)
    assert place() == Placement("cuda:0", "float32")


def test_metal_comes_after_cuda(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert place() == Placement("mps", "float32")


@pytest.mark.parametrize(
    ("device", "word"),
    [
        ("gpu", "write cuda"), ("tpu", "no device"), ("GPU", "write cuda"), ("cuda:x", "no device"),
        ("cuda:", "no device"), ("0", "no device"), ("cuda", "none here"), ("cuda:7", "none here"),
        ("mps", "none here"), ("CUDA", "no device"), ("", "no device"), ("meta", "no device"),
    ],
)  # fmt: skip
def test_a_device_that_is_not_there(model_dir, device, word):
    (problem,) = device_problems(device)
    assert word in str(problem)
    with pytest.raises(ModelError):
        load_causal_lm(model_dir, device=device)


def test_one_gpu_too_far(gpu):
    assert not device_problems("cuda:1")
    (problem,) = device_problems("cuda:2")
    assert "cuda:0 to cuda:1" in str(problem)


@pytest.mark.parametrize("dtype", ["bf16", "int8", "float64"])
def test_a_dtype_that_weights_are_not_read_in(model_dir, dtype):
    with pytest.raises(ModelError, match=dtype):
        load_causal_lm(model_dir, dtype)


@pytest.fixture
def folder(tmp_path, tokenizer, model_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = AutoConfig.from_pretrained(model_dir, num_labels=1)
    AutoModelForSequenceClassification.from_config(settings).save_pretrained("reward")
    tokenizer.save_pretrained("reward")
    (tmp_path / "q.jsonl").write_text('{"prompt": "how do I clean the lamp?"}\n')
    return tmp_path


def neat(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


SAMPLE = ("sample", "-m", "model", "-q", "q.jsonl", "-s", "harmless", "--max-new-tokens", 3)
EVALUATE = ("evaluate", "-m", "base=model", "-q", "q.jsonl", "-s", "harmless", "--reward", "reward")


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ([], ("cuda:0", "bfloat16")),
        (["--device", "cuda:1", "--dtype", "float16"], ("cuda:1", "float16")),
        (["--device", "cpu"], ("cpu", "float32")),
    ],
)
def test_every_command_puts_its_models_where_it_says(folder, gpu, given, where):
    told = neat(*SAMPLE, "-o", "g.jsonl", *given)
    told += neat("score", "g.jsonl", "-r", "reward", "-o", "s.jsonl", *given)
    told += neat(*EVALUATE, "-o", "e", "--max-new-tokens", 3, *given)
    assert gpu == [where] * 4  # sample, score, and the reward and the model of the evaluation
    assert told.count(f"device {where[0]}") == 3


def recipe(**model):
    sections = {
        "model": {"path": "model", **model}, "queries": "q.jsonl", "steering": "harmless",
        "reward": {"model": "reward"}, "train": {"max_steps": 1},
        "evaluate": {"queries": "q.jsonl"},
    }  # fmt: skip
    return recipe_from(sections)


def test_a_run_reads_its_models_as_the_other_commands_do(folder, gpu):
    from neat_align.evaluation.assembly import Place, loaded_models, outside_scorers
    from neat_align.scoring import Combination
    from neat_align.workflow.recipe_settings import training_scorers, where

    asked = recipe()
    place = Place(asked.device, asked.model.dtype, 4)
    outside_scorers(["reward"], None, Combination(), {"heldout": "reward"}, place)
    next(loaded_models({"a": "model"}, place, 0))
    training_scorers(asked, ["reward"])
    assert gpu == [("cuda:0", "bfloat16")] * 4
    assert where(asked) == (
        "device cuda:0 (Card), bfloat16; trained weights in float32, forward passes in bfloat16"
    )


@pytest.mark.parametrize(
    ("model", "train", "words"),
    [
        ({"device": "gpu"}, {}, "write cuda"),
        ({"device": "cuda:3"}, {}, "cuda:3"),
        ({"device": "cuda"}, {"use_cpu": True}, "two devices"),
        ({"device": "cpu"}, {"use_cpu": False}, "two devices"),
        ({"dtype": "float16"}, {}, "no GPU"),
        ({"dtype": "float16"}, {"use_cpu": True}, "no GPU"),
        ({"dtype": "bfloat16"}, {"fp16": True}, "two precisions"),
        ({}, {"bf16": True}, "use_cpu"),
    ],
)
def test_what_a_recipe_cannot_have_here(folder, model, train, words):
    asked = recipe(**model).model_copy(update={"train": train})
    problems = check_recipe(asked)
    assert len(problems) == 1
    assert words in str(problems[0])


@pytest.mark.parametrize(
    ("model", "train"),
    [({"dtype": "bfloat16"}, {}), ({"device": "cpu"}, {"bf16": True}), ({}, {"use_cpu": True})],
)
def test_what_a_recipe_can_have_here(folder, model, train):
    assert not check_recipe(recipe(**model).model_copy(update={"train": train}))


def test_a_device_with_a_number_in_several_processes(folder, gpu, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    (problem,) = check_recipe(recipe(device="cuda:1"))
    assert "GPU of its own" in str(problem)
    assert not check_recipe(recipe(device="cuda"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "cpu", "ray": "auto", "gpus": 1}, "idle"),
        ({"device": "cuda", "ray": "auto"}, "--ray-gpus 1"),
        ({"device": "cuda:1", "ray": "auto", "gpus": 1}, "from 0"),
        ({"device": "cuda", "server": "http://h/v1"}, "server decides"),
        ({"dtype": "float16", "server": "http://h/v1"}, "server decides"),
        ({"server": "http://h/v1", "ray": "auto", "gpus": 1}, "idle"),
        ({"dtype": "bf16"}, "write bfloat16"),
    ],
)
def test_options_that_would_be_ignored_or_waste(options, words):
    (problem,) = option_problems(**{"device": "auto", "dtype": "auto", **options})
    assert words in str(problem)


def test_workers_of_a_cluster_may_have_what_this_machine_lacks():
    assert not option_problems("cuda", "auto", ray="auto", gpus=1)
    assert not option_problems("auto", "auto", ray="auto", gpus=0.5)
    assert not option_problems("auto", "auto", ray="auto")
    assert ray_problems(None, 1, 0, 1, 1)


@pytest.mark.parametrize(
    ("asked", "autocast", "whole", "adapter"),
    [
        ({}, "bfloat16", "float32", "bfloat16"),
        ({"device": "cpu"}, "float32", "float32", "float32"),
        ({"dtype": "float32"}, "float32", "float32", "float32"),
        ({"dtype": "float16"}, "float16", "float32", "float16"),
        ({"dtype": "float32", "bf16": True}, "bfloat16", "float32", "bfloat16"),
        ({"dtype": "bfloat16", "bf16": False}, "float32", "float32", "float32"),
    ],
)
def test_what_is_trained_stays_in_float32(gpu, asked, autocast, whole, adapter):
    precision = Precision.of(**asked)
    assert precision.autocast == autocast
    assert (precision.weights(False), precision.weights(True)) == (whole, adapter)
    flags = {"bf16": autocast == "bfloat16", "fp16": autocast == "float16"}
    assert precision.flags == {**flags, "use_cpu": precision.device == "cpu"}


class Arguments:
    device, n_gpu, world_size = torch.device("cuda:0"), 2, 1


def test_a_single_process_takes_one_gpu(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    args = Arguments()
    on_one_device(args, "cuda:1")
    assert args._n_gpu == 1
    assert chosen == ["cuda:1"]
    on_one_device(Arguments(), "cuda:0")
    assert chosen == ["cuda:1"]


def test_the_dtype_belongs_to_what_a_sample_is(folder):
    neat(*SAMPLE, "-o", "groups")
    again = CliRunner().invoke(app, [*map(str, SAMPLE), "-o", "groups", "--dtype", "bfloat16"])
    assert isinstance(again.exception, NeatError)
    assert "dtype" in str(again.exception)
