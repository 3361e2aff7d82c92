"""Queries that a server does not answer, through the command line: left out, named, asked again."""

# ruff: noqa: F811 (the fixture `stub` is imported)

import json

import pytest
from tests.end_to_end.test_runs import neat
from tests.unit.test_server_sampler import KEY, stub  # noqa: F401
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.data import load_groups
from neat_align.errors import NeatError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rows = [{"prompt": f"how do I clean lamp {i}?"} for i in range(5)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def command(stub, output, *more):
    return (
        "sample", "-m", "m", "--server", stub.url, "-q", "q.jsonl", "-o", output, "-s", "harmless",
        "--positive", 1, "--negative", 0, "--plain", 2, *more,
    )  # fmt: skip


def refuse(stub, text, content=None):
    """No answer where a query holds the text."""
    bad = [{"message": {"content": content}, "finish_reason": "content_filter"}]
    stub.choices = lambda body: bad if text in body["messages"][-1]["content"] else None


def texts(path):
    return [group.query.text[-2] for group in load_groups(path)]


def refused(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, NeatError), done.output
    return str(done.exception)


@pytest.mark.parametrize("output", ["groups", "groups.jsonl", "groups.parquet"])
def test_a_refused_query_is_left_out_named_and_asked_again(folder, stub, output):
    refuse(stub, "lamp 3")
    told = neat(*command(stub, output))
    assert "1 query without an answer left out: the next start asks again" in told
    assert texts(folder / output) == ["0", "1", "2", "4"]
    shown = neat("dataset", "stats", output)
    assert "1 × 3 answers were none" in " ".join(shown.split())
    assert "content_filter" in shown
    counted = json.loads(neat("dataset", "stats", output, "--json"))
    assert sum(counted["missing"].values()) == 1
    before = load_groups(folder / output)
    neat(*command(stub, output))  # it stays away
    assert load_groups(folder / output) == before
    stub.choices, stub.bodies = lambda body: None, []
    told = neat(*command(stub, output))
    assert "without" not in told
    assert len(stub.bodies) == 2
    assert texts(folder / output) == list("01234")
    assert "without an answer" not in neat("dataset", "stats", output)
    if output == "groups":
        neat(*command(stub, output))
    else:
        assert "it exists" in refused(*command(stub, output))
    assert len(stub.bodies) == 2


def test_another_command_does_not_go_on_with_a_file_that_lacks_some(folder, stub):
    refuse(stub, "lamp 3")
    neat(*command(stub, "groups.jsonl"))
    assert "it exists" in refused(*command(stub, "groups.jsonl", "--seed", 1))


def test_a_server_that_answers_nothing_leaves_nothing(folder, stub):
    refuse(stub, "")
    assert "none of 10 questions was answered" in refused(*command(stub, "groups.jsonl"))
    assert not (folder / "groups.jsonl").exists()


def test_scored_parts_follow_groups_that_came_later(folder, stub):
    refuse(stub, "lamp 3")
    neat(*command(stub, "groups"))
    neat("score", "groups", "-r", "polarity", "-o", "scored")
    assert texts(folder / "scored") == ["0", "1", "2", "4"]
    assert "without an answer" in neat("dataset", "stats", "scored")
    refuse(stub, "nothing")
    neat(*command(stub, "groups"))
    neat("score", "groups", "-r", "polarity", "-o", "scored")
    assert texts(folder / "scored") == list("01234")
    assert "without an answer" not in neat("dataset", "stats", "scored")


@pytest.mark.parametrize("output", ["groups", "groups.jsonl"])
def test_an_ungraded_response_is_left_out_named_and_asked_again(folder, stub, output):
    neat(*command(stub, output))
    scored = output.replace("groups", "scored")
    stub.reply = lambda body: "Grade: 3" if "lamp 2" not in str(body["messages"]) else "Hm."
    score = ("score", output, "-r", f"judge={{url: '{stub.url}', model: m}}", "-o", scored)
    assert "1 query without a score left out: the next start asks again" in neat(*score)
    assert texts(folder / scored) == ["0", "1", "3", "4"]
    assert "without a score, asked again by the next start: 1 ×" in neat("dataset", "stats", scored)
    stub.reply = lambda body: "Grade: 3"
    assert "without" not in neat(*score)
    assert texts(folder / scored) == list("01234")
    assert KEY not in "".join(p.read_text() for p in (folder / "cache").rglob("*.jsonl"))


def test_what_was_in_force_stands_in_the_record(folder, stub):
    no = {"error": {"message": "Unknown field: min_p", "param": "min_p"}}
    stub.whole = lambda body: (400, {}, json.dumps(no).encode()) if "min_p" in body else None
    extra = '{"chat_template_kwargs": {"enable_thinking": false}}'
    neat(*command(stub, "groups", "--extra-body", extra, "--top-k", 5, "--top-p", 0.5))
    (asked,) = {(b["top_k"], b["top_p"], b["max_tokens"]) for b in stub.bodies}
    assert asked == (5, 0.5, 128)
    assert all(b["chat_template_kwargs"] == {"enable_thinking": False} for b in stub.bodies)
    found = load_groups(folder / "groups")
    assert {r.sampler for g in found for r in g.responses} == {"m (without min_p)"}
    shown = neat("dataset", "stats", "groups")
    assert "server, asked: without min_p" in shown
    assert "server, answered as: m" in shown
    run = json.loads((folder / "groups" / "run.json").read_text())["recipe"]
    assert run["extra_body"] == {"chat_template_kwargs": {"enable_thinking": False}}
    assert "another run" in refused(*command(stub, "groups", "--top-k", 5, "--top-p", 0.5))


def test_a_rows_own_template_arguments_and_tools_are_asked_with(folder, stub):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    rows = [
        {"prompt": [{"role": "user", "content": "one"}], "chat_template_kwargs": {"a": 1}},
        {"prompt": [{"role": "user", "content": "two"}], "tools": [tool]},
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    neat(*command(stub, "g.jsonl", "--extra-body", '{"chat_template_kwargs": {"a": 0, "b": 2}}'))
    by_text = {b["messages"][-1]["content"]: b for b in stub.bodies}
    assert by_text["one"]["chat_template_kwargs"] == {"a": 1, "b": 2}
    assert by_text["two"]["chat_template_kwargs"] == {"a": 0, "b": 2}
    assert "tools" not in by_text["one"]
    assert by_text["two"]["tools"][0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--extra-body", "{"), "no JSON"),
        (("--extra-body", "[1]"), "no object"),
        (("--extra-body", '{"a": 1, "a": 2}'), "twice"),
        (("--extra-body", '{"a": NaN}'), "no JSON"),
        (("--extra-body", '{"temperature": 2}'), "setting of its own"),
        (("--extra-body", '{"x": {"api_key": "p4ss"}}'), "may be secret"),
        (("--key-variable", "sk-proj-p4ss"), "key_variable"),
        (("--server", "http://u:p4ss@a/v1"), "may be secret"),
        (("--server", "http://u:p4ss@a:b/v1"), "no address"),
        (("--server", ""), "no http"),
    ],
)
def test_options_of_a_server_that_cannot_be(folder, stub, more, told):
    text = refused(*command(stub, "groups", *more))
    assert told in text
    assert "p4ss" not in text
    assert not stub.bodies
    assert not (folder / "groups").exists()


@pytest.mark.parametrize("option", ['--extra-body={"a": 1}', "--key-variable=A", "--concurrency=2"])
def test_options_of_a_server_without_one(folder, model_dir, option):
    text = refused("sample", "-m", model_dir, "-q", "q.jsonl", "-o", "g", "-s", "harmless", option)
    assert f"{option.partition('=')[0]} without --server" in text
