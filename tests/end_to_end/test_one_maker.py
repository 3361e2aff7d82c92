"""Groups made offline are those that the online loop makes; a pair is tried, groups are read."""

import json

import pytest
from tests.conftest import make_llama
from typer.testing import CliRunner

from neat_align import NEAT, NEATConfig, NEATTrainer, Query
from neat_align.cli import app, main
from neat_align.data import load_groups
from neat_align.errors import NeatError
from neat_align.types import Source

ROWS = [
    {"prompt": f"how do I clean lamp {i}?", "chosen": f"with cloth {i}", "rejected": "break it"}
    for i in range(4)
]
REWARDS = """
def size(completions, **kwargs):
    return [float(len(c)) for c in completions]

def obeys(completions, **kwargs):
    return [1.0 if "kettle" in c else 0.0 for c in completions]
"""


def neat(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, NeatError), done.output
    return str(done.exception)


@pytest.fixture
def folder(tmp_path, monkeypatch, model_dir, tokenizer):
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    (tmp_path / "rewards.py").write_text(REWARDS)
    make_llama(tokenizer, seed=5).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(groups):
    """All but the names of the samplers, which say where offline models lay."""
    return [
        (
            group.query.id,
            [
                (r.text, r.source, r.steering, r.seed, r.token_ids, pytest.approx(r.score))
                for r in group.responses
            ],
        )
        for group in groups
    ]


def test_offline_groups_are_those_of_the_online_loop(folder, model_dir, tokenizer):
    """Data answers, the reference's negatives and plausibility in both, with the same seed."""
    from neat_align.models import load_causal_lm

    neat(
        "sample", "-m", model_dir, "-q", "q.jsonl", "-s", "polite", "-o", "g.jsonl", "--seed", 3,
        "--max-new-tokens", 5, "--negative", 3, "--data-answers", "--reference", "base",
        "--reference-negative-fraction", 0.5,
    )  # fmt: skip
    neat(
        "score", "g.jsonl", "-r", "rewards.py:size", "-o", "s.jsonl", "--plausibility", 0.5,
        "--reference", "base", "--steering", "polite",
    )  # fmt: skip
    trainer = NEATTrainer(
        load_causal_lm(model_dir),
        "rewards.py:size",
        NEATConfig(
            output_dir="out", seed=3, max_steps=1, per_device_train_batch_size=4, use_cpu=True,
            max_new_tokens=5, negative_samples=3, add_data_responses=True, plausibility=0.5,
            reference_negative_fraction=0.5, steering_try_queries=0, save_strategy="no",
            disable_tqdm=True,
        ),
        objective=NEAT(),
        steering="polite",
        train_dataset=[Query.from_text(**_renamed(row)) for row in ROWS],
        processing_class=tokenizer,
        reference_model=load_causal_lm(folder / "base"),
    )  # fmt: skip
    online = []
    make = trainer.maker.make
    trainer.maker.make = lambda queries, seed: online.extend(make(queries, seed)) or online
    trainer.train()
    offline = {group.query.id: group for group in load_groups("s.jsonl")}
    assert content(online) == content([offline[g.query.id] for g in online])
    negative = {r.sampler for g in online for r in g.responses if r.source == Source.NEGATIVE}
    assert negative == {"policy", "reference"}
    assert [r.source for r in online[0].responses[-2:]] == [Source.DATA] * 2


def _renamed(row):
    return {"text": row["prompt"], **{k: v for k, v in row.items() if k != "prompt"}}


def test_answers_can_join_when_groups_are_scored(folder, model_dir):
    short = ("--max-new-tokens", 3, "--positive", 1, "--negative", 1, "--plain", 0)
    neat("sample", "-m", model_dir, "-q", "q.jsonl", "-s", "polite", "-o", "g.jsonl", *short)
    for source in ("g.jsonl", "s.jsonl"):
        target = "s.jsonl" if source == "g.jsonl" else "again.jsonl"
        neat("score", source, "-r", "rewards.py:size", "-o", target, "--data-answers")
        sources = [[str(r.source) for r in g.responses] for g in load_groups(target)]
        assert sources == [["positive", "negative", "data", "data"]] * 4


@pytest.mark.parametrize("old", ["--base", "--base-negative-fraction"])
def test_an_old_name_of_an_option_is_told_the_new_one(old, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["neat", "sample", "-q", "q.jsonl", f"{old}=0.5"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert f"write --reference{old.removeprefix('--base')}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sample", "--reference", "base"), "--reference-negative-fraction"),
        (("sample", "--reference-negative-fraction", 0.5), "no reference is given"),
        (("score",), "nothing to score with"),
        (("score", "--plausibility", 1), "give --reference MODEL"),
        (("score", "--plausibility", 1, "--reference", "base"), "without steering"),
        (("score", "--reference", "base", "-r", "rewards.py:size"), "without --plausibility"),
        (("score", "-s", "polite", "-r", "rewards.py:size"), "without --plausibility"),
        (("sample", "-q", "bare.jsonl", "--data-answers"), "chosen or rejected"),
    ],
)
def test_options_of_the_maker_that_do_not_fit(folder, model_dir, words, told):
    (folder / "g.jsonl").write_text("")
    (folder / "bare.jsonl").write_text('{"prompt": "a"}\n')
    command, *options = words
    own = (
        ("-m", model_dir, "-q", "q.jsonl", "-s", "polite") if command == "sample" else ("g.jsonl",)
    )
    assert told in refused(command, *own, "-o", "out.jsonl", *options)


def test_a_pair_is_tried_by_a_command(folder, model_dir):
    common = ("steering", "try", "-m", model_dir, "-q", "q.jsonl", "--max-new-tokens", 4, "-n", 2)
    told = neat(*common, "-s", "polite", "-r", "rewards.py:size", "-o", "trial.json")
    assert "on 2 queries" in told
    assert told.count("query:") == 2
    assert "verdict:" in told
    kept = json.loads((folder / "trial.json").read_text())
    assert len(kept["prompts"]) == 8
    assert len(kept["answers"]) == 2 * (4 + 8)
    assert kept["verdict"] in told
    bare = neat(*common, "-s", "polite")
    assert "verdict: not judged" in bare
    assert "'Be rude and sarcastic, and insult the reader.'" in bare
    assert "without steering" in refused(*common)
    assert "it exists" in refused(*common, "-s", "polite", "-o", "trial.json")
    assert "goood" in refused(*common, "-s", "polite", "-r", "rewards.py:goood")


def test_groups_are_read_in_the_terminal(folder, model_dir):
    short = ("--max-new-tokens", 3, "--positive", 1, "--negative", 1, "--plain", 1)
    neat("sample", "-m", model_dir, "-q", "q.jsonl", "-s", "polite", "-o", "g.jsonl", *short)
    neat("score", "g.jsonl", "-r", "rewards.py:size", "-r", "polarity", "-o", "s.jsonl")
    group = load_groups("s.jsonl")[1]
    shown = neat("dataset", "show", "s.jsonl", "--query", group.query.id, "-s", "negative")
    assert f"query {group.query.id}" in shown
    assert f"user: {group.query.text}" in shown
    assert "[negative] score" in shown
    assert "polarity -1" in shown
    assert "finish " in shown
    assert "prompt: " in shown
    assert "[positive]" not in shown
    assert neat("dataset", "show", "s.jsonl", "-n", 2).count("query ") == 2
    assert neat("dataset", "show", "g.jsonl", "--skip", 3).count("not scored") == 3
    assert "did you mean 'negative'" in refused("dataset", "show", "s.jsonl", "-s", "negativ")
    assert "none is left" in refused("dataset", "show", "s.jsonl", "--query", "absent")
