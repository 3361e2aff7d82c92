"""Every kind of bad input through the real command: exit code 2, three parts, no model loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neat_align.cli import main

QUERIES = [{"prompt": f"how do I clean lamp {i}?"} for i in range(8)]
REWARDS = """
def good(completions, **kwargs):
    return [float(len(c)) for c in completions]

def raises(completions, **kwargs):
    raise ZeroDivisionError("by the user")

def short(completions, **kwargs):
    return [1.0]

def nan(completions, **kwargs):
    return [float("nan")] * len(completions)

def none(completions, **kwargs):
    return [None] * len(completions)
"""


class Done:
    def __init__(self, returncode, stderr):
        self.returncode, self.stderr = returncode, stderr


@pytest.fixture
def neat(monkeypatch, capsys):
    """Return the command's entry point, in this process; fail the test if a model is loaded."""

    def load(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", load)

    def run(*arguments, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["neat", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return Done(stopped.value.code, capsys.readouterr().err)

    return run


def refused(done, *words):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for part in ("error:", "why:", "fix:", *words):
        assert part in done.stderr, done.stderr


@pytest.fixture
def folder(tmp_path, model_dir):
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in QUERIES))
    (tmp_path / "rewards.py").write_text(REWARDS)
    recipe = {
        "model": str(model_dir),
        "queries": "queries.jsonl",
        "steering": "harmless",
        "sample": {"positive": 1, "negative": 1, "plain": 0, "max_new_tokens": 4},
        "reward": {"functions": ["rewards.py:good"]},
        "objective": {"name": "neat"},
        "train": {"max_steps": 1, "use_cpu": True},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("queries.path=absent.jsonl", ["absent.jsonl", "no such file"]),
        ("queries.columns={prompt: promt}", ["promt", "prompt"]),
        ("train.learning_rat=1", ["learning_rat", "learning_rate"]),
        ("train.learning_rate=fast", ["fast", "float"]),
        ("smple.positive=1", ["smple", "sample"]),
        ("sample.positive=minus", ["sample.positive"]),
        ("sample.temperature=-1", ["sample.temperature"]),
        ("sample.positive=true", ["sample.positive", "true or false"]),
        ("sample={positive: 1, positive: 2}", ["'positive' stands in one section twice"]),
        ("=1", ["it names no key"]),
        ("sample.temperature=.nan", ["sample.temperature", "finite"]),
        ("reward.weights=[.inf]", ["reward.weights.0", "finite"]),
        ("reward.weights=[0]", ["all weights are 0"]),
        ("objective.rank_beta=.nan", ["objective.rank_beta", "finite"]),
        ("train.learning_rate=.nan", ["learning_rate"]),
        ("steering={name: harmless, negative: Shout.}", ["another name"]),
        ("sample={positive: 1, negative: 0, plain: 0}", ["group of one"]),
        ("steering=harmles", ["harmles", "harmless"]),
        ("objective.name=naet", ["naet", "neat"]),
        ("objective.lm_wieght=1", ["lm_wieght", "lm_weight"]),
        ("objective.rank=hing", ["hing", "hinge"]),
        ("reward.functions=[rewards.py:goood]", ["goood", "good"]),
        ("reward.functions=[absent.py:good]", ["absent.py"]),
        ("model.path=nowhere/at/all", ["nowhere/at/all"]),
        ("model.path=.", ["config.json"]),
        ("train={bf16: true}", ["bf16"]),
        ("train={lora: 16}", ["no section", "{r: 16}"]),
        ("train={lora: {rank: 16}}", ["train.lora.rank", "write r"]),
        (
            "reward={train: {data: queries.jsonl, lora: {rank: 8}}}",
            ["reward.train.lora.rank", "write r"],
        ),
        ("train={lora: {r: 0, alpha: big, bias: some}}", ["r: 0", "big", "lora_only"]),
        ("train={lora: {target_modules: []}}", ["list of names"]),
        ("train={lora: {dropout: 0.1}}", ["train.disable_dropout=false"]),
        ("model.device=gpu", ["write cuda"]),
        ("model.dtype=int8", ["model.dtype"]),
        ("train.max_new_tokens=5", ["sample"]),
        ("train.refresh_every=0", ["refresh_every", "at least 1"]),
        ("train.engine=vlm", ["vlm", "vllm"]),
        ("train.engine=vllm", ["not installed", "neat-align[vllm]"]),
        ("train.engine=vllm-server", ["engine_url"]),
        ("train={engine: adapter-server, engine_url: 'http://h/v1'}", ["train.lora"]),
        ("train={engine: adapter-server, engine_url: 'http://me:hush@h/v1', lora: {}}", ["key"]),
        ("no_equals_sign", ["no_equals_sign"]),
    ],
)
def test_a_recipe_that_cannot_work(neat, folder, override, words):
    done = neat("run", "recipe.yaml", override, "--output", "out", cwd=folder)
    refused(done, *words)
    assert not (folder / "out").exists()


def test_all_problems_at_once(neat, folder):
    wrong = ["steering=harmles", "objective.name=naet", "queries.path=absent.jsonl"]
    refused(neat("recipe", "check", "recipe.yaml", *wrong, cwd=folder), "harmles", "naet", "absent")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        ('{"prompt": "a"}\n{"prompt": \n', ["line 2", "JSON"]),
        ('{"prompt": "a"}\n{"answer": "b"}\n', ["line 2", "no query"]),
        ('["a"]\n', ["line 1", "object"]),
    ],
)
def test_a_broken_data_file(neat, folder, model_dir, content, words):
    (folder / "broken.jsonl").write_text(content)
    what = ("sample", "-m", model_dir, "-q", "broken.jsonl", "-s", "polite", "-o", "g.jsonl")
    done = neat(*what, cwd=folder)
    refused(done, "broken.jsonl", *words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", ["ZeroDivisionError", "by the user"]),
        ("short", ["1 scores"]),
        ("nan", ["nan"]),
        ("none", ["gave None for it", "none"]),
    ],
)
def test_a_reward_function_that_misbehaves_loses_nothing(neat, folder, name, words):
    groups = {
        "query": {"messages": [{"role": "user", "content": "q"}]},
        "responses": [{"text": t, "source": "plain"} for t in ("a", "b")],
    }
    (folder / "groups.jsonl").write_text(json.dumps(groups) + "\n")
    before = (folder / "groups.jsonl").read_text()
    done = neat("score", "groups.jsonl", "-r", f"rewards.py:{name}", "-o", "s.jsonl", cwd=folder)
    refused(done, name, *words)
    assert (folder / "groups.jsonl").read_text() == before
    assert not (folder / "s.jsonl").exists()


def test_an_output_directory_that_holds_something_else(neat, folder):
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("years of work")
    refused(neat("run", "recipe.yaml", "-o", "out", cwd=folder), "files that are not")
    assert (folder / "out" / "thesis.tex").read_text() == "years of work"


def test_an_output_directory_that_holds_another_run(neat, folder):
    from neat_align.recipe import load_recipe
    from neat_align.workflow.pipeline import opened

    recipe = load_recipe(folder / "recipe.yaml")
    opened(recipe, folder / "out", resume=False)
    other = neat("run", "recipe.yaml", "seed=5", "-o", "out", "--resume", cwd=folder)
    refused(other, "another run", "seed")
    refused(neat("run", "recipe.yaml", "-o", "out", cwd=folder), "--resume")


def test_the_demo_refuses_a_foreign_directory(neat, folder):
    refused(neat("demo", "-o", folder, cwd=folder), "files that are not")


def test_help_and_recipe_checks_import_no_torch():
    code = (
        "import sys, neat_align.cli, neat_align.recipe as r\n"
        "r.check_recipe(r.load_recipe('hh_qwen3_0.6b'))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_module_can_be_imported():
    import importlib
    import pkgutil

    import neat_align

    names = [m.name for m in pkgutil.walk_packages(neat_align.__path__, "neat_align.")]
    assert len(names) > 30
    for name in names:
        importlib.import_module(name)
    for name in neat_align.__all__:
        assert getattr(neat_align, name) is not None


def test_the_installed_command_tells_errors_by_its_exit_code(tmp_path):
    command = Path(sys.executable).parent / "neat"
    done = subprocess.run([command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "demo" in done.stdout
    refused(subprocess.run([command, "run", "hh_tiny_"], capture_output=True, text=True), "hh_tiny")


def test_modules_are_found_where_one_stands(neat, folder, monkeypatch):
    """As with `python -m neat_align`, which puts that folder on the search path."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(folder))])
    (folder / "ownkit").mkdir()
    (folder / "ownkit" / "__init__.py").write_text("")
    (folder / "ownkit" / "rewards.py").write_text(REWARDS)
    given = ("recipe", "check", "recipe.yaml")
    assert neat(*given, "reward.functions=[ownkit.rewards:good]", cwd=folder).returncode == 0
    refused(neat(*given, "reward.functions=[owwnkit.rewards:good]", cwd=folder), "owwnkit")


def test_a_command_launched_as_several_processes_is_refused(neat, folder, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused(neat("doctor", folder, cwd=folder), "2 processes", "NEATTrainer", "neat train")
