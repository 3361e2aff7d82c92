"""What README lets a new user do first is done, on a tiny random model, word for word."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from neat_align.cli import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HUB = "Qwen/Qwen3-0.6B"
SMALL = {
    "sample": {"max_new_tokens": 6},
    "train": {"max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True},
}  # what a test can afford; every other key is README's

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(title):
    """Return a section of README."""
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def block(text, language, head=""):
    found = re.findall(rf"^```{language}\n({re.escape(head)}.*?)^```", text, re.M | re.S)
    assert found, f"{language} {head}"
    return found[0]


def neat(line, model):
    words = [w.replace(HUB, str(model)) for w in shlex.split(line, comments=True)]
    assert words.pop(0) == "neat"
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch, model_dir):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "queries.txt").write_text("How do I clean a lamp?\nWhat is a kettle?\n")
    (tmp_path / "test.txt").write_text("How do I polish a cloth?\nWhich lamp is mine?\n")
    own = section("Your own rule in five minutes")
    (tmp_path / "rewards.py").write_text(block(own, "python", "# rewards.py"))
    recipe = yaml.safe_load(block(own, "yaml", "# mine.yaml"))
    recipe["model"] = str(model_dir)
    recipe["steering"]["try_queries"] = 0  # random answers show no difference
    for name, values in SMALL.items():
        recipe[name] = {**recipe.get(name, {}), **values}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def test_your_own_rule_and_the_model_afterwards(folder, model_dir):
    for line in block(section("Your own rule in five minutes"), "bash").splitlines():
        told = neat(line, model_dir)
    assert "report: runs/mine/report.html" in told
    loaded = {}
    exec(compile(block(page("how-to/use-the-model.md"), "python"), "README.md", "exec"), loaded)
    assert loaded["model"].num_parameters()
    for line in block(page("how-to/evaluate.md"), "bash").replace("./model", HUB).splitlines():
        neat(line, model_dir)
    assert (folder / "figures" / "report.html").exists()


def test_in_python(folder, model_dir):
    text = block(section("In Python"), "python")
    assert run_python(text, model_dir)["trainer"].state.global_step == 1


def run_python(text, model):
    """Run Python of a page on a small model for one step; return its names."""
    small = "max_steps=1, max_new_tokens=6, use_cpu=True, steering_try_queries=0"
    names = {}
    text = text.replace(HUB, str(model)).replace("max_steps=500", small)
    exec(compile(text, "page", "exec"), names)
    return names


def test_readme_is_short():
    assert len(README.splitlines()) <= 120
