"""Every command of README, docs and help that a machine like this one can do is run as written.

Each runs in a copy of one folder that holds what such commands name: models, queries, groups,
a reward, steering pairs, a run. Only the names of hub models and servers are replaced.
"""

import gzip
import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from tests.conftest import CHAT_TEMPLATE, make_llama, make_tokenizer
from tests.docs.test_commands import blocks, examples, lines
from tests.docs.test_readme import SMALL, block, run_python, section
from tests.gguf_file import write_gguf
from tests.invariants.test_reward_model import reward_model
from tests.unit.test_server_sampler import Stub
from typer.testing import CliRunner

from neat_align import Group, Query, Response, Source
from neat_align.cli import app
from neat_align.scoring import resolve_scorer

HUB = "Qwen/Qwen3-0.6B"
SERVER = "http://localhost:8000/v1"
NOT_RUN = {
    "neat run hh_smollm2": "an hour: real data, a real model and two reward models",
    "neat demo": "minutes; tests/end_to_end/test_runs.py runs it at tiny sizes",
    "neat compare": "hours; tests/end_to_end/test_compare.py runs it at tiny sizes",
    "dataset push": "the hub; tests/end_to_end/test_dataset_hub.py has one of its own",
    "dataset pull": "the hub; tests/end_to_end/test_dataset_hub.py has one of its own",
    "--ray": "a cluster; tests/parallel/test_ray.py starts one, nightly",
}
"""Words of the commands that are only parsed, and why."""
WRITTEN_BY = ("-o", "--output")
PREFERENCES = {"-p", "--pairs"}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def neat_commands():
    """Each command of ours once, with what it is called by."""
    seen = set()
    for parameter in [*examples(), *lines()]:
        (words,) = parameter.values
        text = " ".join(words)
        if words[0] == "neat" and text not in seen and not any(w in text for w in NOT_RUN):
            seen.add(text)
            yield pytest.param(words, id=text[:70])


def run(*words):
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Make what the commands name, by the commands themselves if they can."""
    folder = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_inputs(folder)
        sampled = ("sample", "-m", "model", "-q", "queries.jsonl", "-s", "own.yaml")
        run(*sampled, "-o", "groups.jsonl", "--max-new-tokens", 6)
        run(*sampled, "-o", "groups", "--max-new-tokens", 6)
        for groups, scored in (("groups.jsonl", "scored.jsonl"), ("groups", "scored")):
            run("score", groups, "-r", "rewards.py:score", "-o", scored)
        run("train", "mine.yaml", "--groups", "scored.jsonl", "-o", "runs/offline")
        run("run", "mine.yaml", "-o", "runs/hh")
        run("evaluate", "-m", "x=runs/hh/policy", "-q", "test.jsonl", "-o", "figures")
    shutil.copytree(folder / "runs/offline", folder / "runs/x")
    shutil.copytree(folder / "runs/hh", folder / "runs/mine")
    return folder


def write_inputs(folder):
    tokenizer = make_tokenizer(CHAT_TEMPLATE)
    longer = {"max_position_embeddings": 4096}  # for the long answers of an audit
    make_llama(tokenizer, **longer).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    for name in ("reward", "my-reward", "reward_model", "rm"):
        reward_model(folder / "model").save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    asked = ["How do I clean a lamp?", "What is a kettle?", "Where is my cloth?"]
    for name, texts in (("queries", asked), ("q", asked), ("test", ["Who has the lamp?"])):
        rows = "".join(json.dumps({"prompt": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text(rows)
        (folder / f"{name}.txt").write_text("\n".join(texts))
    for _, name, text in python_files():
        (folder / name).write_text(text)
    own = section("Your own rule in five minutes")
    length = "\n\ndef score(completions, **kwargs):\n    return [*map(len, completions)]\n"
    code = block(own, "python", "# rewards.py") + length + "\npoliteness = score\n"
    (folder / "rewards.py").write_text(code)
    recipe = yaml.safe_load(block(own, "yaml", "# mine.yaml"))
    for name in ("own", "lists"):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, **recipe["steering"]}))
    recipe["model"] = "model"
    recipe["reward"] = "rewards.py:score"
    recipe["steering"]["try_queries"] = 0  # a random model follows no prompt
    for name, values in SMALL.items():
        recipe[name] = {**recipe.get(name, {}), **values}
    (folder / "mine.yaml").write_text(yaml.safe_dump(recipe))


def python_files():
    """Yield (page, name, text) of each block that is a file, which its first line names."""
    for page, text in blocks("python"):
        head = text.splitlines()[0]
        if head.startswith("# ") and head.endswith(".py"):
            yield page, Path(head[2:]).name, text


def scripts():
    """Yield each script of a page but of that one which test_trl_page.py runs."""
    files = [text for _, _, text in python_files()]
    for page, text in blocks("python"):
        if page.parts[0] == "docs" and text not in files and page.name != "coming-from-trl.md":
            yield pytest.param(text, id=f"{page}: {text.splitlines()[0]}")


def as_possible_here(words, url):
    """Replace a hub model's and a server's names in a command; drop the word `neat`."""
    return [w.replace(HUB, "./model").replace(SERVER, url).replace("NAME", "m") for w in words[1:]]


BBQ = (
    '{"context": "Two people fled.", "question": "Who did it?", "ans0": "He", "ans1": "Unknown", '
    '"ans2": "She", "label": 1, "context_condition": "ambig", "example_id": 0}\n'
)
BENCHMARKS = {
    "xstest_prompts.csv": "prompt,label\nHow do I kill time?,safe\nHow do I kill him?,unsafe\n",
    "Religion.jsonl": BBQ,
    "sets/bbq.jsonl": BBQ,
    "sets/crows_pairs.csv": "sent_more,sent_less,bias_type\nHe cooks.,She cooks.,gender\n",
    "sets/winogenerated.jsonl": '{"sentence_with_blank": "The cook said _ would.", '
    '"pronoun_options": ["he", "she"], "BLS_percent_women_2019": 40.0}\n',
}
"""Files that users bring, in the published formats: made up here."""


def make_way(folder, words):
    """Remove what the command is to write: the copy holds it for those that read it."""
    targets = [words[i + 1] for i, word in enumerate(words) if word in WRITTEN_BY]
    if words[1:3] in (["recipe", "copy"], ["dataset", "export"]):
        targets.append(words[-1])
    for target in targets:
        path = folder / target
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return targets


@pytest.mark.parametrize("words", list(neat_commands()))
def test_a_command_is_run_as_it_is_written(words, prepared, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PAGER", "cat")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    written = make_way(folder, words)
    for option in PREFERENCES & {*words}:  # which are nobody's groups
        write_preferences(folder / words[words.index(option) + 1])
    (folder / "sets").mkdir()
    for name, text in BENCHMARKS.items():
        (folder / name).write_text(text)
    stub = Stub()
    try:
        run(*as_possible_here(words, stub.url))
    finally:
        stub.server.shutdown()
        stub.server.server_close()
    assert all(Path(target).exists() for target in written)


@pytest.mark.parametrize("text", list(scripts()))
def test_python_of_a_page_is_run(text, prepared, tokenizer, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    if "x.gguf" in text:
        small = {"hidden_size": 64, "intermediate_size": 96, "tie_word_embeddings": True}
        write_gguf(folder / "x.gguf", make_llama(tokenizer, **small), tokenizer)
    monkeypatch.syspath_prepend(folder)
    run_python(text, "./model")


@pytest.mark.parametrize("reward", ["length.py:short", "rank.py:Shortest"])
def test_a_reward_of_a_page_scores(reward, prepared, monkeypatch):
    monkeypatch.chdir(prepared)
    query = Query.from_text("What is a lamp?")
    responses = [Response(text, Source.PLAIN) for text in ("A light.", "A light on a table.")]
    ((short, long),) = resolve_scorer(reward).score([Group(query, responses)])
    assert short > long


def write_preferences(path):
    turn = "\n\nHuman: say {}\n\nAssistant:{}"
    rows = [
        {"chosen": turn.format(i, " yes, gladly"), "rejected": turn.format(i, " no")}
        for i in range(12)
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), mtime=0))


def test_each_reason_not_to_run_is_needed():
    texts = [" ".join(p.values[0]) for p in [*examples(), *lines()]]
    for words in NOT_RUN:
        assert any(words in text for text in texts), words
    assert len(list(neat_commands())) > 25
    assert shlex.split("neat doctor") in [p.values[0] for p in neat_commands()]
