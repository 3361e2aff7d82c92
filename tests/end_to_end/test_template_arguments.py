"""Template arguments reach the template from everywhere they can be given."""

import json

import pytest
import yaml
from tests.conftest import make_llama
from tests.templates import new_tokenizer
from typer.testing import CliRunner

from neat_align import NEAT, NEATConfig, NEATTrainer, Steering
from neat_align.cli.app import app
from neat_align.data import DataSpec, load_queries
from neat_align.errors import InputError
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.chat.chat_template import saved_template_problems
from neat_align.sampling.job import SamplingJob

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
OFF = {"enable_thinking": False}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a small Qwen3-like model, and queries of which one has an argument of its own."""
    tokenizer = new_tokenizer("qwen3")
    make_llama(tokenizer).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": f"clean lamp {i}"} for i in range(3)]
    rows.append({"prompt": "clean", "chat_template_kwargs": {"enable_thinking": True}})
    for name, part in (("train", rows), ("test", [{"prompt": "polish the kettle"}])):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    (tmp_path / "r.py").write_text(
        "def score(completions, **_):\n    return [1.0] * len(completions)\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rendered(monkeypatch):
    """Record the arguments of every rendering of a prompt."""
    seen = []
    render = PromptFormat.query_ids

    def note(self, query, steering=""):
        seen.append((query.text, self._writer.arguments(query)))
        return render(self, query, steering)

    monkeypatch.setattr(PromptFormat, "query_ids", note)
    return seen


def neat(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refusal(*words):
    """Run a command that must be refused; return why."""
    error = neat(*words).exception
    assert isinstance(error, InputError)
    return str(error)


def check(rendered, queries=4):
    assert len({text for text, _ in rendered}) >= queries
    for text, arguments in rendered:
        assert arguments == {"enable_thinking": text == "clean"}


def test_sample_and_evaluate(folder, rendered):
    draw = ["-q", "train.jsonl", "--max-new-tokens", "2", "-s", "harmless"]
    given = ["--chat-template-kwargs", json.dumps(OFF)]
    done = neat("sample", "-m", "model", *draw, *given, "-o", "groups.jsonl")
    assert done.exit_code == 0, done.output
    check(rendered)
    rendered.clear()
    done = neat("evaluate", "-m", "base=model", *draw, *given, "-o", "figures")
    assert done.exit_code == 0, done.output
    check(rendered)


def test_a_recipe_and_the_evaluation_of_its_policy(folder, rendered):
    recipe = {
        "model": {"path": "model", "chat_template_kwargs": OFF},
        "queries": "train.jsonl",
        "steering": {"negative": "Answer badly.", "try_queries": 0},
        "sample": {"positive": 1, "negative": 1, "plain": 0, "max_new_tokens": 2},
        "reward": {"functions": ["r.py:score"], "polarity": True},
        "train": {"max_steps": 1, "per_device_train_batch_size": 4, "use_cpu": True},
        "evaluate": {"queries": "test.jsonl"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = neat("run", "recipe.yaml", "-o", "out")
    assert done.exit_code == 0, done.output
    check(rendered, queries=5)
    rendered.clear()
    words = ["evaluate", "-m", "neat=out/policy", "-q", "test.jsonl", "--max-new-tokens", "2"]
    done = neat(*words, "-o", "figures")
    assert done.exit_code == 0, done.output
    check(rendered, queries=1)


def test_the_trainer(folder, rendered):
    args = NEATConfig(
        output_dir="out",
        max_steps=1,
        max_new_tokens=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        steering_try_queries=0,
        chat_template_kwargs=OFF,
    )
    trainer = NEATTrainer(
        model="model",
        args=args,
        objective=NEAT(),
        steering=Steering("own", (), ("Answer badly.",)),
        reward_funcs=["polarity"],
        train_dataset=load_queries(DataSpec("train.jsonl")),
    )
    trainer.train()
    check(rendered)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sample", "-m", "model", "-o", "g.jsonl"], "enable_thinking"),
        (["evaluate", "-m", "base=model", "-o", "f"], "enable_thinking"),
    ],
)
def test_what_the_template_never_reads_is_refused_before_a_model_is_loaded(
    folder, words, told, monkeypatch
):
    import transformers

    def load(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", load)
    common = [*words, "-q", "train.jsonl", "-s", "harmless", "--chat-template-kwargs"]
    assert told in refusal(*common, '{"enable_thinkin": false}')
    assert "JSON" in refusal(*common, "thinking=no")


def test_rows_that_the_template_refuses_are_named_before_a_model_is_loaded(
    folder, tmp_path, monkeypatch
):
    import transformers

    tokenizer = new_tokenizer("mistral")
    make_llama(tokenizer).save_pretrained(tmp_path / "strict")
    tokenizer.save_pretrained(tmp_path / "strict")
    twice = [{"role": "user", "content": "a"}] * 2
    rows = [
        {"prompt": "well"},
        {"prompt": twice},
        {"prompt": "well, too"},
        {"prompt": twice[:1] * 4},
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def load(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", load)
    told = refusal("sample", "-m", "strict", "-q", "rows.jsonl", "-s", "harmless", "-o", "g.jsonl")
    assert told.count("must alternate") == 2
    assert all(place in told for place in ("rows.jsonl, line 2", "rows.jsonl, line 4"))
    with pytest.raises(InputError, match="row 2 of train_dataset"):
        NEATTrainer(
            model="strict",
            args=NEATConfig(output_dir="out", max_steps=1, use_cpu=True, steering_try_queries=0),
            steering=Steering("own", (), ("Answer badly.",)),
            reward_funcs=["polarity"],
            train_dataset=rows,
        )


def test_a_saved_policy_stops_at_the_turns_end(folder, tmp_path):
    from types import SimpleNamespace

    from neat_align.training.save_policy import stop_at_turns_end

    tokenizer = new_tokenizer("gemma3")
    model, form = make_llama(tokenizer), PromptFormat(tokenizer)
    stop_at_turns_end(model, form)
    named = ("<eos>", "<end_of_turn>")
    assert set(model.generation_config.eos_token_id) == {
        *map(tokenizer.convert_tokens_to_ids, named)
    }
    stop_at_turns_end(SimpleNamespace(generation_config=None), form)


def test_a_recipe_check_names_them(folder):
    words = ["recipe", "check", "recipe.yaml"]
    recipe = {
        "model": {"path": "model", "chat_template_kwargs": {"tools": 1, "thinking": True}},
        "queries": "train.jsonl",
        "steering": "harmless",
        "reward": {"polarity": True},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    problems = refusal(*words)
    for told in ("chat_template_kwargs: tools", "chat_template_kwargs: thinking"):
        assert told in problems
    recipe["train"] = {"chat_template_kwargs": OFF}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert "write `model:" in refusal(*words)


def test_saved_templates_are_found_where_transformers_looks(folder, tmp_path):
    assert saved_template_problems("model", OFF) == []
    assert saved_template_problems("some/hub-id", {"x": 1}) == []
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer_config.json").write_text('{"chat_template": "{{ a }}{% if"}')
    assert "no Jinja template" in str(saved_template_problems(other, {})[0])
    named = [{"name": "default", "template": "{{ a }}"}, {"name": "rag", "template": "{{ b }}"}]
    (other / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert saved_template_problems(other, {"a": 1, "b": 1}) == []
    (other / "chat_template.jinja").write_text("{{ c }}")
    assert len(saved_template_problems(other, {"a": 1, "c": 1})) == 1


def test_a_server_is_sent_them(folder):
    job = SamplingJob("m", None, None, None, server="http://x/v1", chat_template_kwargs=OFF)
    assert job._extra_body == {"chat_template_kwargs": OFF}
