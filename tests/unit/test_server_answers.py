"""What becomes of each answer of a server: the table, row by row, and on the page of servers."""

# ruff: noqa: F811 (the fixture `stub` is imported)

import json
from pathlib import Path

import pytest
from tests.unit.test_server_sampler import QUERIES, client, draw, stub  # noqa: F401

from neat_align.errors import ServerError, UnansweredError
from neat_align.sampling.plan import GroupPlan
from neat_align.servers.answers import TABLE, Answer, read_choice, read_completion, without_thoughts
from neat_align.servers.client import ChatClient
from neat_align.servers.refusals import fix_of, is_of_one_question
from neat_align.servers.transport import Reply
from neat_align.types import Message

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"


def choice(content="yes", finish="stop", **message):
    return {
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GOOD = [
    (choice(), "yes", "stop"),
    (choice("yes, bu", "length"), "yes, bu", "length"),
    (choice(tool_calls=[], function_call=None, refusal=None), "yes", "stop"),
    (choice(reasoning_content="Grade: 1"), "yes", "stop"),
    (choice("<think>no</think>\n\nyes"), "yes", "stop"),
    (choice("no, or\n</think>\n\nyes"), "yes", "stop"),
    (choice("half \ud83d"), "half ?", "stop"),
]
BAD = [
    (choice(None, "content_filter"), "content_filter"),
    (choice("half an an", "content_filter"), "content_filter"),
    (choice("half an an", "error"), "error"),
    (choice("half an an", "abort"), "abort"),
    (choice("half an an", "tool_calls"), "tool_calls"),
    (choice("half an an", "eos"), "eos"),
    (choice("half an an", {"why": 1}), "finish reason"),
    (choice("half an an", None), "no finish reason"),
    ({"message": {"content": "yes"}}, "no finish reason"),
    (choice(None, "tool_calls", tool_calls=[CALL]), "tool or function call"),
    (choice("yes", "stop", tool_calls=[CALL]), "tool or function call"),
    (choice("yes", "function_call", function_call={"name": "f"}), "tool or function call"),
    (choice(None, "stop", refusal="I cannot do that."), "I cannot do that."),
    (choice(None, "stop"), "no content"),
    (choice(None, "length", reasoning_content="hm"), "thoughts alone"),
    (choice("", "stop", reasoning="hm"), "thoughts alone"),
    (choice("<think>hm", "length"), "thoughts alone"),
    (choice("<think>hm", "stop"), "thoughts alone"),
    (choice("<think>hm</think>", "stop"), "empty text"),
    (choice("", "stop"), "empty text"),
    (choice(" \n", "length"), "empty text"),
    (choice([{"type": "text", "text": "yes"}]), "no text"),
    (choice(7), "no text"),
    (choice({"text": "yes"}), "no text"),
    ({"text": "yes", "finish_reason": "stop"}, "without a message"),
    ({"message": "yes", "finish_reason": "stop"}, "without a message"),
    ({"delta": {"content": "yes"}, "finish_reason": "stop"}, "without a message"),
    ({**choice(), "error": {"message": "provider gone"}}, "provider gone"),
    ("yes", "no object"),
    (None, "no object"),
]


@pytest.mark.parametrize(("given", "text", "finish"), GOOD)
def test_what_is_an_answer(given, text, finish):
    found = read_choice(given)
    assert isinstance(found, Answer)
    assert (found.text.strip(), found.finish) == (text, finish)


@pytest.mark.parametrize(("given", "why"), BAD)
def test_what_is_none(given, why):
    found = read_choice(given)
    assert isinstance(found, str)
    assert why in found


def test_every_row_is_met_and_stands_on_the_page():
    page = " ".join(PAGE.read_text().split())
    met = [read_choice(given) for given, *_ in BAD]
    for row in TABLE:
        assert f"| {row.came} |" in page
        assert row.becomes or any(str(found).startswith(row.came) for found in met)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a <think> tag in the middle", "a <think> tag in the middle"),
        ("use <think>…</think> tags", "use <think>…</think> tags"),
        ("<think>a</think><think>b</think>c", "c"),
        ("<THINKING>a</THINKING> c", " c"),
        ("[THINK]a[/THINK]c", "c"),
        ("<thinking>a</think>c", "c"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>c", "c"),
        ("<|channel|>analysis<|message|>a", None),
        ("<reasoning>a", None),
        ("", ""),
    ],
)  # fmt: skip
def test_thoughts_as_models_write_them(text, answer):
    assert without_thoughts(text) == answer


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "Expecting value"),
        (b"<html><title>502 Bad Gateway</title>", "502 Bad Gateway"),
        (b'data: {"choices": []}\n\n', "stream"),
        (b'{"error": {"message": "out of memory"}}', "out of memory"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": {"0": 1}}', "no choices"),
        (b"[1]", "no object"),
        (b'{"choices": [{"message": {"content": "a", "content": "b"}}]}', "twice"),
        ('{"choices": "ä"}'.encode("latin-1"), "utf-8"),
        (b"[" * 100_000, "too deep"),
    ],
)
def test_bodies_that_are_no_completion(body, why):
    with pytest.raises(ValueError, match=why):
        read_completion(body)


@pytest.mark.parametrize("bad", [given for given, _ in BAD if isinstance(given, dict)][:20:3])
def test_what_is_no_answer_is_never_kept(stub, steering, tmp_path, bad):
    stub.choices = lambda body: [bad] if "query 1" in body["messages"][-1]["content"] else None
    journal = tmp_path / "journal.jsonl"
    plan = GroupPlan(2, 0, 0)
    groups = draw(stub, QUERIES[:3], plan, journal, steering)
    assert [g.query.text for g in groups] == ["query 0", "query 2"]
    asked = [b for b in stub.bodies if "query 1" in b["messages"][-1]["content"]]
    assert len(asked) == 3
    assert len({b["seed"] for b in asked}) == 3
    kept = [json.loads(line) for line in journal.read_text().split("\n") if line]
    assert len(kept) == 4
    assert all(record["text"].strip() for record in kept)
    stub.choices, stub.bodies = lambda body: None, []
    groups = draw(stub, QUERIES[:3], plan, journal, steering)  # the next start
    assert [g.query.text for g in groups] == ["query 0", "query 1", "query 2"]
    assert len(stub.bodies) == 1


def test_a_group_of_which_a_part_is_missing_is_left_out_and_its_rest_asked_for(
    stub,
    steering,
    tmp_path,
):
    """Two of three came; the third is asked for by the next start."""
    told = iter([[choice("one"), choice("two"), choice(None)], *[[choice(None)]] * 3])
    stub.choices = lambda body: next(told)
    journal = tmp_path / "journal.jsonl"
    groups = draw(stub, QUERIES[:1], GroupPlan(3, 0, 0), journal, steering)
    assert groups == []
    assert [b.get("n", 1) for b in stub.bodies] == [3, 1, 1, 1]
    stub.choices = lambda body: [choice("three")]
    (group,) = draw(stub, QUERIES[:1], GroupPlan(3, 0, 0), journal, steering)
    assert [r.text for r in group.responses] == ["one", "two", "three"]
    assert len(stub.bodies) == 5


def test_a_server_that_gives_no_answer_to_anything_is_an_error(stub, steering):
    stub.choices = lambda body: [choice(None, "content_filter")]
    with pytest.raises(ServerError, match=r"none of 6 questions was answered.*content_filter"):
        draw(stub, plan=GroupPlan(2, 0, 0), steering=steering)


def test_many_refusals_before_any_answer_stop_the_rest(stub):
    stub.whole = lambda body: (400, {}, b"no such option")
    asking = client(stub)
    for _ in range(31):
        with pytest.raises(UnansweredError):
            asking.ask([Message("user", "q")], 1, {})
    with pytest.raises(ServerError) as caught:
        asking.ask([Message("user", "q")], 1, {})
    assert type(caught.value) is ServerError
    stub.whole = lambda body: None
    asking.ask([Message("user", "q")], 1, {})
    stub.whole = lambda body: (400, {}, b"no such option")
    for _ in range(40):  # among answers, any number of them stops nothing
        with pytest.raises(UnansweredError):
            asking.ask([Message("user", "q")], 1, {})


def test_a_server_that_breaks_down_stops_the_rest(stub):
    asking = client(stub, attempts=1)
    asking.ask([Message("user", "q")], 1, {})
    stub.whole = lambda body: (503, {}, b"")
    for _ in range(7):
        with pytest.raises(UnansweredError):
            asking.ask([Message("user", "q")], 1, {})
    with pytest.raises(ServerError) as caught:
        asking.ask([Message("user", "q")], 1, {})
    assert type(caught.value) is ServerError


def test_stop_strings_hold_where_a_server_ignores_them(stub):
    stub.choices = lambda body: [choice("yes END no", "length")]
    (found,) = client(stub).ask([Message("user", "q")], 1, {"stop": ["END"]})
    assert (found.text, found.finish) == ("yes ", "stop")
    stub.choices = lambda body: [choice("END no")]
    with pytest.raises(UnansweredError, match="begins with a stop string"):
        client(stub).ask([Message("user", "q")], 1, {"stop": ["END"]})


def test_a_journal_of_answers_that_are_none_is_asked_again(stub, tmp_path):
    from neat_align.servers.journal import Journal

    lines = [
        {"question": "q", "text": "", "finish": "stop"},
        {"question": "q", "text": "half", "finish": "error"},
        {"question": "q", "text": "good", "finish": "length"},
        {"question": "q", "text": None, "finish": "stop"},
    ]
    path = tmp_path / "j.jsonl"
    path.write_bytes("\n".join(map(json.dumps, lines)).encode() + b"\n\xff\xfe{\n")
    assert [a.text for a in Journal(path).answers("q")] == ["good"]


def test_a_client_can_be_asked_without_a_model_of_the_same_name(stub, caplog):
    stub.whole = lambda body: (
        200, {"Content-Type": "text/plain"},
        json.dumps({"choices": [choice()], "model": "other"}).encode(),
    )  # fmt: skip
    asking = ChatClient(stub.url, "m")
    assert asking.ask([Message("user", "q")], 1, {})[0].text == "yes"
    assert asking.answered_as == {"other"}
    assert "answers as other" in caplog.text


def test_a_403_of_a_filter_is_of_one_question_and_one_of_a_key_of_all():
    flagged = Reply(403, b'{"error": {"message": "input was flagged by moderation"}}', {})
    assert is_of_one_question(flagged)
    assert not is_of_one_question(Reply(403, b"forbidden for this key", {}))
    elsewhere = Reply(302, b"", {"location": "/login?token=1"})
    assert "(/login)" in fix_of(elsewhere, "KEY", "", "m", list)
