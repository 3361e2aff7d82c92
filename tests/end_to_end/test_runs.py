"""Whole jobs through the command line, on tiny random models: run, stages, demo."""

import json

import pytest
import torch
import yaml
from tests.conftest import CHAT_TEMPLATE, make_tokenizer
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.data import load_groups
from neat_align.errors import OutputError
from neat_align.recipe import check_recipe, load_recipe, recipe_from, recipe_names
from neat_align.study.demo import RIVALS, run_demo

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def neat(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def transcript(i, answer):
    return f"\n\nHuman: how do I clean lamp {i}?\n\nAssistant: {answer}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Preferences in HH-RLHF's form, and a reward function."""
    rows = [
        {"chosen": transcript(i, "with a cloth"), "rejected": transcript(i, "break the lamp")}
        for i in range(60)
    ]
    (tmp_path / "hh.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "rewards.py").write_text(
        "async def no_lamp(prompts, completions, **kwargs):\n"
        "    return [1.0 - c.count('lamp') for c in completions]\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recipe(folder, model_dir):
    content = {
        "model": str(model_dir),
        "queries": {"path": "hh.jsonl", "share": [0, 0.7]},
        "steering": {"negative": "Answer badly.", "try_queries": 0},  # random models follow none
        "sample": {"positive": 1, "negative": 1, "plain": 1, "max_new_tokens": 6},
        "reward": {"functions": ["rewards.py:no_lamp", "polarity"], "weights": [1.0, 0.5]},
        "objective": {"name": "neat", "penalty": "npo", "penalty_weight": "1e-1"},
        "train": {"max_steps": 2, "learning_rate": "1e-4", "use_cpu": True, "save_steps": 1},
        "evaluate": {
            "queries": {"path": "hh.jsonl", "share": [0.7, 1]},
            "heldout_reward": "polarity",
            "perplexity": {"path": "hh.jsonl", "share": [0.7, 1]},
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_run_leaves_a_policy_figures_and_a_report(recipe, folder, model_dir):
    told = neat("run", recipe, "-o", "out")
    assert "Reward, training" in told
    assert told.splitlines()[-1].startswith("report: out/report.html; ")
    out = folder / "out"
    base = AutoModelForCausalLM.from_pretrained(model_dir).state_dict()
    policy = AutoModelForCausalLM.from_pretrained(out / "policy").state_dict()
    assert any(not torch.equal(base[name], policy[name]) for name in base)
    results = json.loads((out / "results.json").read_text())
    assert set(results["models"]) == {"base", "neat"}
    for figure in ("reward_train", "reward_heldout", "kl", "ppl_pretrain", "distinct_2"):
        assert figure in results["models"]["neat"], figure
    html = (out / "report.html").read_text()
    assert "Answer badly." in html
    assert len((out / "train" / "metrics.jsonl").read_text().splitlines()) == 2
    samples = (out / "samples" / "neat.jsonl").read_text().splitlines()
    assert {json.loads(s)["condition"] for s in samples} == {"plain", "seen_negative"}
    assert "Steering" in (out / "policy" / "README.md").read_text()


def test_a_second_run_skips_what_is_finished(recipe, folder):
    neat("run", recipe, "-o", "out")
    written = (folder / "out" / "policy" / "model.safetensors").stat().st_mtime_ns
    (folder / "out" / "stages.json").write_text('{"train": {"seconds": 1}}')
    told = neat("run", recipe, "-o", "out", "--resume")
    assert "train: done before" in told
    assert "evaluate …" in told
    assert (folder / "out" / "policy" / "model.safetensors").stat().st_mtime_ns == written
    (folder / "out" / "report.html").unlink()
    neat("report", "out")
    assert (folder / "out" / "report.html").exists()
    assert "done in" in neat("doctor", "out")


def test_everything_from_scratch(recipe, folder):
    """Tokenizer, model and two reward models trained on the data, as `hh_tiny` does."""
    size = "hidden_size: 32, layers: 1, heads: 2, intermediate_size: 32, vocab_size: 320"
    neat(
        "run", recipe, "-o", "out",
        f"model={{from_scratch: {{data: hh.jsonl, {size}, steps: 20, max_length: 64}}}}",
        "reward={train: {data: hh.jsonl}}",
        "evaluate.heldout_reward={data: hh.jsonl, learning_rate: 1e-3}",
    )  # fmt: skip
    stages = json.loads((folder / "out" / "stages.json").read_text())
    assert list(stages) == ["model", "reward", "heldout_reward", "train", "evaluate", "report"]
    assert 0 <= stages["reward"]["accuracy_heldout"] <= 1


def test_the_stages_one_by_one(recipe, folder, model_dir):
    neat(
        "sample",
        "-m",
        model_dir,
        "-q",
        "hh.jsonl",
        "-o",
        "g.parquet",
        "-s",
        "polite",
        "--max-new-tokens",
        5,
    )
    neat("score", "g.parquet", "-r", "rewards.py:no_lamp", "-r", "polarity", "-o", "s.jsonl")
    group = load_groups(folder / "s.jsonl")[0]
    assert [str(r.source) for r in group.responses] == ["positive", "positive", "negative", "plain"]
    for response in group.responses:
        assert response.score == sum(response.scores.values())
        assert set(response.scores) == {"no_lamp", "polarity"}
    neat("train", recipe, "evaluate=null", "--groups", "s.jsonl", "-o", "offline")
    told = neat("report", "offline")
    page = (folder / "offline" / "report.html").read_text()
    assert "Nothing was evaluated" in page
    assert "Answer badly." in page
    assert 'id="training"' in page
    assert 'id="change"' not in page
    told = neat(
        "evaluate", "-m", f"base={model_dir}", "-m", "neat=offline/policy", "-q", "hh.jsonl",
        "-o", "figures", "--reward", "rewards.py:no_lamp", "--max-new-tokens", 5,
    )  # fmt: skip
    for word in ("Reward, training", "seen negative", "KL to the base", "it was trained on 60 of"):
        assert word in told, told
    assert told.splitlines()[-1].startswith(
        "report: figures/report.html; Reward, training scorer: "
    )
    page = (folder / "figures" / "report.html").read_text()
    assert "Answer badly." in page
    assert "cut at 5 tokens" in page
    (folder / "figures" / "report.html").unlink()
    neat("report", "figures")
    assert (folder / "figures" / "report.html").read_text() == page
    figures = json.loads((folder / "figures" / "evaluation.json").read_text())["models"]
    assert figures["base"]["kl"]["value"] == 0
    assert set(figures["neat"]["distinct_2"]) == {"value", "low", "high", "n"}
    told = neat("reward", "-m", model_dir, "-p", "hh.jsonl", "-o", "rm", "--learning-rate", 1e-3)
    assert "held-out accuracy" in told


@pytest.mark.parametrize("lora", [False, True])
def test_the_qwen3_recipe_on_a_small_qwen3(folder, lora):
    """The code path of the big recipe: same architecture, chat template, random weights."""
    tokenizer = make_tokenizer(CHAT_TEMPLATE)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=512,
        tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained("qwen")
    tokenizer.save_pretrained("qwen")
    changes = [
        "model={path: qwen}", "reward={polarity: true}",
        "queries={path: hh.jsonl, share: [0, 0.7]}",
        "evaluate.queries={path: hh.jsonl, share: [0.7, 1]}", "evaluate.heldout_reward=polarity",
        "sample.max_new_tokens=5", "train.max_steps=2", "train.use_cpu=true",
        "train.learning_rate=1e-3", "steering.try_queries=0",
    ]  # fmt: skip
    neat("run", "hh_qwen3_0.6b", *changes, *(["train.lora={r: 4}"] if lora else []), "-o", "out")
    policy = AutoModelForCausalLM.from_pretrained(folder / "out" / "policy").state_dict()
    base = AutoModelForCausalLM.from_pretrained(folder / "qwen").state_dict()
    assert policy.keys() == base.keys()
    assert any(not torch.equal(base[name], policy[name]) for name in base)
    assert (folder / "out" / "policy" / "adapter").exists() == lora


@pytest.mark.parametrize("name", recipe_names())
def test_built_in_recipes_parse(name):
    assert load_recipe(name).about


TINY = (
    "model.from_scratch.data.limit=600", "model.from_scratch.steps=20",
    "model.from_scratch.hidden_size=24", "model.from_scratch.layers=1",
    "model.from_scratch.intermediate_size=32",
    "reward.train.data.limit=80", "evaluate.heldout_reward.data.limit=80",
    "queries.limit=40", "evaluate.queries.limit=20", "evaluate.perplexity.limit=5",
    "train.max_steps=2", "train.per_device_train_batch_size=2",
)  # fmt: skip


def test_the_demo_and_its_comparison(tmp_path):
    plain = run_demo(tmp_path / "demo", seed=3, overrides=TINY, name="world")
    assert set(plain["models"]) == {"base", "prompt", "neat"}
    policy = tmp_path / "demo" / "policy" / "model.safetensors"
    written = policy.stat().st_mtime_ns
    again = {"resume": True, "compare": True, "name": "world"}
    compared = run_demo(tmp_path / "demo", seed=3, overrides=TINY, **again)
    assert policy.stat().st_mtime_ns == written
    assert set(compared["models"]) == {"base", "prompt", "neat", *RIVALS}
    assert compared["models"]["neat"] == plain["models"]["neat"]
    wanted = {
        "harmful", "helpful", "over_refusal", "over_refusal_borderline", "wrong", "fair", "garble",
        "harmful_under_seen_negative", "harmful_under_unseen_negative", "reward_train",
        "reward_heldout", "kl", "ppl_pretrain", "distinct_2", "mean_length",
    }  # fmt: skip
    for name, figures in compared["models"].items():
        assert (wanted - {"ppl_pretrain"} if name == "prompt" else wanted) <= set(figures)
    assert compared["seed"] == 3
    assert "neat_pp" in (tmp_path / "demo" / "report.html").read_text()


def test_the_demo_on_a_chat_model(tmp_path, model_dir):
    small = (
        f"model.path={model_dir}", "steering.try_queries=0", "sample.max_new_tokens=6",
        "evaluate.queries.limit=4", "train.max_steps=1", "train.per_device_train_batch_size=2",
        "reward.plausibility=1.0",  # a random model breaks no rule
        "evaluate.max_new_tokens=9",
        "queries.requests.kinds=[benign]", "queries.limit=8",  # some twins exceed its context
    )  # fmt: skip
    found = run_demo(tmp_path / "demo", overrides=small)
    assert set(found["models"]) == {"base", "prompt", "neat"}
    for figures in found["models"].values():
        assert {"breaks_rule", "breaks_rule_under_unseen_negative", "distinct_2"} <= set(figures)
    assert "Breaks the rule" in (tmp_path / "demo" / "report.html").read_text()
    evaluated = json.loads((tmp_path / "demo" / "evaluation.json").read_text())
    assert evaluated["decoding"]["max_new_tokens"] == 9


def test_a_recipe_measures_benchmarks_too(recipe, folder):
    rows = [{"query": "2 + 2?", "choices": ["4", "a lamp"], "answer": 0}]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = "evaluate.tasks={choices: mine.jsonl}"
    neat("run", recipe, "-o", "out", task)
    results = json.loads((folder / "out" / "results.json").read_text())
    assert all("choices/accuracy" in model for model in results["models"].values())
    assert "choices/accuracy" in (folder / "out" / "evaluation.json").read_text()
    (folder / "mine.jsonl").write_text(json.dumps({**rows[0], "answer": 1}) + "\n")
    with pytest.raises(OutputError, match=r"evaluate\.tasks\.choices"):
        neat("run", recipe, "-o", "out", "--resume", task)


def test_benchmarks_are_checked_before_a_model_is_loaded(recipe, folder):
    content = yaml.safe_load(recipe.read_text())
    content["evaluate"]["tasks"] = {"xstes": "a.csv", "choices": "nowhere.jsonl"}
    told = "\n".join(str(e) for e in check_recipe(recipe_from(content)))
    assert "did you mean 'xstest'" in told
    assert "nowhere.jsonl" in told
