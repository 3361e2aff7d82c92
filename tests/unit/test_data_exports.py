"""Files as spreadsheets, pandas and others export them: each works, or names row and column."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pytest

from neat_align.data import DataSpec, load_preferences, load_queries
from neat_align.errors import DataError

TURNS = [{"role": "user", "content": 'Hé, "you"?'}]
JSON = json.dumps(TURNS)
CELL = JSON.replace('"', '""')


def zst(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def texts(tmp_path, name, content, **spec):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [q.text for q in load_queries(DataSpec(path=path, **spec))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", "prompt,kind\r\none,a\r\ntwo,b\r\n"),
        ("q.csv", "\ufeffprompt;kind\r\none;a\r\ntwo;b\r\n"),
        ("q.csv", "sep=;\r\nprompt;kind\r\none;a\r\ntwo;b\r\n"),
        ("q.csv", "prompt\tkind\none\ta\ntwo\tb\n"),
        ("q.csv", ",prompt\n0,one\n1,two\n"),
        ("q.csv", " Prompt ,kind\none,a\ntwo,b\n"),
        ("q.csv", "prompt\none\n\ntwo\n"),
        ("q.csv", "prompt\tkind\r\none\ta\r\ntwo\tb\r\n".encode("utf-16")),
        ("q.tsv", "prompt\tkind\none\ta\ntwo\tb, c; d\n"),
        ("q.tsv.gz", gzip.compress(b"prompt\none\ntwo\n", mtime=0)),
        ("q.jsonl.bz2", bz2.compress(b'{"prompt": "one"}\n{"prompt": "two"}\n')),
        ("q.jsonl.xz", lzma.compress(b'{"prompt": "one"}\n{"prompt": "two"}\n')),
        ("q.jsonl.zst", zst(b'{"prompt": "one"}\n{"prompt": "two"}\n')),
        ("q.JSONL", '{"prompt": "one"}\n{"prompt": "two"}\n'),
        ("q.ndjson", '{"prompt": "one"}\r\n\r\n{"prompt": "two"}\r\n'),
        ("q.jsonl", '"one"\n"two"\n'),
        ("q.jsonl", '{"PROMPT": "one"}\n{"Question": "two"}\n'),
        ("q.json", '["one", "two"]'),
        ("q.json", '{"prompt": "one"}\n{"prompt": "two"}\n'),
        ("q.json", '[\n {"prompt": "one"},\n {"prompt": "two"}\n]'),
        ("q.json", '{"prompt": ["one", "two"], "n": [1, 2]}'),
        ("q.json", '{"prompt": {"0": "one", "1": "two"}, "n": {"0": 1, "1": 2}}'),
        ("q.json", '{"version": 1, "data": [{"prompt": "one"}, {"prompt": "two"}]}'),
        ("q.json", '{"rows": [{"row_idx": 0, "row": {"prompt": "one"}}, {"prompt": "two"}]}'),
        ("q.yaml", "- prompt: one\n- prompt: two\n"),
        ("q.yml", "- one\n- two\n"),
        ("q.txt", "\ufeffone\r\n\r\ntwo\r\n"),
    ],
)  # fmt: skip
def test_exports_give_their_queries(tmp_path, name, content):
    assert texts(tmp_path, name, content) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("q.csv", f'messages,n\n"{CELL}",1\n', {}),
        ("q.csv", f'chat,n\n"{CELL}",1\n', {"messages": "chat"}),
        ("q.csv", f'prompt,n\n"{CELL}",1\n', {}),
        ("q.csv", 'messages\n"{}"\n'.format(str(TURNS).replace('"', '""')), {}),
        ("q.csv", f'Conversations\n"{CELL}"\n'.replace("role", "from").replace("content", "value"),
         {}),
        ("q.jsonl", json.dumps({"messages": JSON}), {}),
        ("q.json", json.dumps({"messages": TURNS}), {}),
        ("q.json", json.dumps({"messages": [TURNS]}), {}),
        ("q.yaml", json.dumps([{"messages": TURNS}]), {}),
    ],
)  # fmt: skip
def test_conversations_in_cells_are_conversations(tmp_path, name, content, columns):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    (query,) = load_queries(DataSpec(path=path, columns=columns))
    assert (query.text, query.conversational) == (TURNS[0]["content"], True)


def test_preferences_in_cells(tmp_path):
    answers = [json.dumps([{"role": "assistant", "content": c}]).replace('"', '""') for c in "ab"]
    path = tmp_path / "p.csv"
    path.write_text(f'prompt,chosen,rejected\n"{CELL}","{answers[0]}","{answers[1]}"\n')
    (pair,) = load_preferences(DataSpec(path=path)).rows
    assert (pair.chosen, pair.rejected) == ("a", "b")


def test_a_text_that_only_begins_like_json_stays_a_text(tmp_path):
    rows = ['[{"a": 1}] is what?', '[{"a": 1}]', "[]", "[INST] hm", "42"]
    content = "".join(json.dumps({"prompt": row}) + "\n" for row in rows)
    assert texts(tmp_path, "q.jsonl", content) == rows
    assert texts(tmp_path, "q.csv", "prompt\n42\n") == ["42"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("q.csv", f'n,messages\n1,"{CELL[:-2]}"\n', ["line 2", "'messages'", "broken JSON"]),
        ("q.csv", 'n,messages\n1,"[{}]"\n', ["line 2", "role and content"]),
        ("q.csv", "prompt,prompt\na,b\n", ["line 1", "two columns are called 'prompt'"]),
        ("q.csv", 'prompt\none\n"two\n', ["line 3", "close the quotes"]),
        ("q.csv", "prompt,n\none,1\ntwo\n", ["line 3", "1, not 2"]),
        ("q.csv", "prompt\nok\né\n".encode("cp1252"), ["line 3", "0xe9", "CSV UTF-8"]),
        ("q.csv", "prompt;n\n;1\n", ["line 2", "prompt is empty"]),
        ("q.csv", gzip.compress(b"prompt\n", mtime=0), ["its content is gzip", "q.csv.gz"]),
        ("q.csv", b"PK\x03\x04....", ["a zip or Excel file", "CSV (UTF-8)"]),
        ("q.xlsx", b"PK\x03\x04....", ["'.xlsx'", "CSV UTF-8"]),
        ("q.jsonl", b"PAR1....", ["its content is Parquet", "q.parquet"]),
        ("q.parquet", b"version https://git-lfs.github.com/spec/v1\n", ["git lfs pull"]),
        ("q.jsonl", '[{"prompt": "a"}, {"prompt": "b"}]', ["line 1", "rename it to q.json"]),
        ("q.jsonl", "{'prompt': 'a'}\n", ["line 1", "json.dumps"]),
        ("q.jsonl", '{"prompt": "a"}\n{"prompt": 3}\n', ["line 2", "'prompt'", "not int"]),
        ("q.jsonl", '{"prompt": "a"}\n{"prompt": {"x": 1}}\n', ["line 2", "'prompt'", "not dict"]),
        ("q.jsonl", '{"prompt": "a"}\n{"prompt": ["b", "c"]}\n', ["line 2", "role and content"]),
        ("q.jsonl", '{"prompt": "a"}\n{"prompt": null}\n', ["line 2", "prompt is empty"]),
        ("q.jsonl", '{"prompt": "a"}\n7\n', ["line 2", "not int"]),
        ("q.json", '{"train": [{"prompt": "a"}], "test": [{"prompt": "b"}]}', ["'train', 'test'"]),
        ("q.json", '{"prompt": ["a", "b"], "n": [1]}', ["prompt 2, n 1"]),
        ("q.json", '{"prompt": {"0": "a", "1": "b"}, "n": {"0": 1}}', ["prompt 2, n 1"]),
        ("q.json", '[{"prompt": "a"}, 7]', ["row 2", "not int"]),
        ("q.yaml", "- prompt: a\n- 7\n", ["row 2", "not int"]),
        ("q.yaml", "a: [", ["not readable as YAML"]),
        ("q.yaml", "just a text", ["not a list of rows"]),
        ("q.zst", b"\x28\xb5\x2f\xfd", ["'.zst' does not tell"]),
        ("q.jsonl.zst", zst(b'{"prompt": "a"}\n' * 1000)[:-20], ["cannot be read"]),
        ("q.txt", " \n\n", ["no row"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_its_place(tmp_path, name, content, words):
    with pytest.raises(DataError) as error:
        texts(tmp_path, name, content)
    assert name in error.value.given
    for word in words:
        assert word in str(error.value)
