"""No part of a row's conversation vanishes: it reaches the query, or the row is refused."""

import json

import pytest

from neat_align.data import DataSpec, load_groups, load_queries, save_groups
from neat_align.data.datasets import save_queries
from neat_align.data.reading import preference_of, query_of
from neat_align.errors import InputError
from neat_align.types import Group, Message, Query, Response, Source

USER = {"role": "user", "content": "What is 2+2?"}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "name": "add", "content": "4"}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


def texts(query):
    return [(m.role, m.content) for m in query.messages]


@pytest.mark.parametrize("tools", [TOOLS, json.dumps(TOOLS)])
def test_tools_tool_calls_and_results_are_kept(tools):
    row = {"prompt": [USER, CALLS, RESULT], "tools": tools, "kind": "x"}
    query = query_of(row)
    assert query.tools == tuple(TOOLS)
    assert query.messages[1].to_json() == {**CALLS, "content": ""}
    assert query.messages[2].to_json() == RESULT
    assert query.meta == {"kind": "x"}


@pytest.mark.parametrize("arguments", [{"enable_thinking": False}, '{"enable_thinking": false}'])
def test_template_arguments_of_a_row(arguments):
    query = query_of({"prompt": "Hi", "chat_template_kwargs": arguments})
    assert query.template_kwargs == {"enable_thinking": False}
    assert query.meta == {}
    assert query_of({"prompt": "Hi", "chat_template_kwargs": {"other": None}}).template_kwargs == {}


def test_what_the_template_is_given_is_in_the_id():
    rows = [
        {"prompt": [USER]},
        {"prompt": [USER], "tools": TOOLS},
        {"prompt": [USER], "chat_template_kwargs": {"enable_thinking": False}},
        {"prompt": [{**USER, "name": "Ann"}]},
        {"prompt": [USER], "system": "Be brief."},
    ]
    assert len({query_of(row).id for row in rows}) == len(rows)
    plain = Query((Message("user", "What is 2+2?"),))
    assert query_of(rows[0]).id == plain.id == "f6713706eaf547f1"  # as it always was


@pytest.mark.parametrize("column", ["system", "system_prompt"])
@pytest.mark.parametrize(
    "row", [{"prompt": "Hi"}, {"messages": [{"role": "user", "content": "Hi"}]}, {"question": "Hi"}]
)
def test_a_system_column_becomes_the_system_message(row, column):
    expected = [("system", "Be brief."), ("user", "Hi")]
    assert texts(query_of({**row, column: "Be brief."})) == expected
    assert texts(query_of({**row, column: ""})) == [("user", "Hi")]


def test_an_alpaca_row_is_read_whole():
    row = {
        "instruction": "Translate.",
        "input": "lamp",
        "output": "Lampe",
        "system": "You know German.",
        "history": [["Hello", "Hallo"]],
    }
    query = query_of(row)
    assert texts(query) == [
        ("system", "You know German."),
        ("user", "Hello"),
        ("assistant", "Hallo"),
        ("user", "Translate.\n\nlamp"),
    ]
    assert query.meta == {"output": "Lampe"}
    assert texts(query_of({"instruction": "Go.", "context": "A lamp."})) == [
        ("user", "Go.\n\nA lamp.")
    ]
    assert texts(query_of({"instruction": "Go.", "input": ""})) == [("user", "Go.")]


SHAREGPT = [
    {"from": "human", "value": "Hi"},
    {"from": "gpt", "value": "Hello"},
    {"from": "human", "value": "Add 2 and 2."},
    {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 2}}'},
    {"from": "observation", "value": "4"},
    {"from": "gpt", "value": "Four."},
]


def test_sharegpt_conversations():
    query = query_of({"conversations": SHAREGPT, "system": "Be brief.", "tools": TOOLS})
    assert [m.role for m in query.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "tool",
    ]
    assert query.messages[4].extra["tool_calls"][0]["function"]["name"] == "add"
    assert (query.meta, query.tools) == ({"chosen": "Four."}, tuple(TOOLS))
    pair = preference_of(
        {
            "conversations": SHAREGPT[:1],
            "chosen": SHAREGPT[1],
            "rejected": {"from": "gpt", "value": "Go away"},
        }
    )
    assert (pair.query.text, pair.chosen, pair.rejected) == ("Hi", "Hello", "Go away")


def test_text_parts_of_a_content_are_its_text():
    parts = [{"type": "text", "text": "Look:"}, {"type": "text", "text": "a lamp"}]
    query = query_of({"prompt": [{"role": "user", "content": parts}]})
    assert query.text == "Look:\na lamp"


IMAGE = [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "What?"}]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": [{"role": "user", "content": IMAGE}]}, "'image_url'"),
        ({"prompt": [{**USER, "images": ["x"]}]}, "holds images"),
        ({"prompt": "Hi", "image": "x.png"}, "'image'"),
        ({"prompt": [{**USER, "function_call": {"name": "f"}}, USER]}, "function_call"),
        ({"prompt": "Hi", "tools": "add"}, "not JSON"),
        ({"prompt": "Hi", "tools": ["add"]}, "list of JSON schemas"),
        ({"prompt": "Hi", "chat_template_kwargs": [1]}, "not a mapping"),
        ({"prompt": "Hi", "system": 3}, "not text"),
        ({"prompt": [{"role": "system", "content": "a"}, USER], "system": "b"}, "not clear"),
        ({"instruction": "Hi", "input": {"a": 1}}, "not text"),
        ({"instruction": "Hi", "history": ["a"]}, "list of pairs"),
        ({"conversations": [{"from": "robot", "value": "x"}]}, "no such speaker"),
        ({"conversations": [{"from": "function_call", "value": "x"}]}, "JSON with name"),
        ({"prompt": [USER], "chosen": [CALLS], "rejected": "x"}, "tool calls"),
        ({"prompt": [{"role": "developer", "content": "x"}, USER]}, "no such role"),
    ],
)
def test_a_row_of_which_a_part_would_vanish_is_refused_by_its_place(row, why, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "well"}) + "\n" + json.dumps(row))
    with pytest.raises(InputError, match=why) as caught:
        load_queries(DataSpec(path))
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_it_all_survives_the_files_of_groups_and_queries(tmp_path, suffix):
    query = query_of(
        {"prompt": [USER, CALLS, RESULT], "tools": TOOLS, "chat_template_kwargs": {"thinking": 1}}
    )
    groups = [Group(q, (Response("4", Source.PLAIN),)) for q in (query, Query.from_text("Hi"))]
    save_groups(tmp_path / f"groups{suffix}", groups)
    assert load_groups(tmp_path / f"groups{suffix}") == groups
    assert [g.query.id for g in load_groups(tmp_path / f"groups{suffix}")] == [
        g.query.id for g in groups
    ]
    save_queries(tmp_path / "queries.jsonl", [g.query for g in groups])
    loaded = load_queries(DataSpec(tmp_path / "queries.jsonl"))
    assert loaded == [g.query for g in groups]
    assert loaded[1].place.endswith("queries.jsonl, line 2")
    assert "line 2" in loaded[1].named
