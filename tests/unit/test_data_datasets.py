"""Files and hub data sets as queries, preferences, texts and groups."""

import gzip
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from neat_align.data import (
    DataSpec,
    check_groups_path,
    load_groups,
    load_preferences,
    load_queries,
    load_texts,
    save_groups,
    save_queries,
)
from neat_align.errors import DataError, OutputError, SeveralErrors
from neat_align.types import Group, Message, Query, Response, Source

ROWS = [{"prompt": "one", "kind": "a"}, {"prompt": "two,\nthree", "kind": "b"}]


def write(path, rows=ROWS):
    """Write the rows in the format of the suffix."""
    kind = path.name.split(".")[1]
    if kind == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if kind == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    elif kind == "json":
        text = json.dumps(rows)
    else:
        text = "prompt,kind\n" + "".join(f'"{r["prompt"]}",{r["kind"]}\n' for r in rows)
    content = text.encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def lines(tmp_path, *content):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(content))
    return DataSpec(path=path)


def row_groups():
    query = Query((Message("user", "Hé?"),), {"kind": "benign", "nested": {"a": [1, None]}})
    first = Response("yes", Source.POSITIVE, "Be kind.", seed=3, token_ids=(4, 5))
    second = Response("no\nnever", Source.NEGATIVE, "Be mean.", "length", sampler="base")
    scored = tuple(r.with_scores({"polarity": 1.0, "other": None}, 1.0) for r in (first, second))
    return [Group(query, (first, second)), Group(query, scored)]


@pytest.mark.parametrize(
    "name", ["q.jsonl", "q.jsonl.gz", "q.json", "q.json.gz", "q.csv", "q.csv.gz", "q.parquet"]
)
def test_every_local_format_gives_the_same_queries(tmp_path, name):
    queries = load_queries(DataSpec(path=write(tmp_path / name)))
    assert [(q.text, q.meta["kind"]) for q in queries] == [("one", "a"), ("two,\nthree", "b")]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes(b"\xef\xbb\xbfprompt\r\nHi\r\n")
    assert [q.text for q in load_queries(DataSpec(path=path))] == ["Hi"]


def test_equal_queries_are_kept_once_the_first_of_them(tmp_path):
    rows = [{"prompt": p, "n": n} for n, p in enumerate(["a", "b", "a", "c", "b"])]
    queries = load_queries(DataSpec(path=write(tmp_path / "q.jsonl", rows)))
    assert [(q.text, q.meta["n"]) for q in queries] == [("a", 0), ("b", 1), ("c", 3)]


def test_the_limit_counts_rows_and_reads_no_further(tmp_path):
    spec = lines(tmp_path, '{"prompt": "a"}', '{"prompt": "b"}', "{broken")
    assert len(load_queries(DataSpec(path=spec.path, limit=2))) == 2
    with pytest.raises(DataError, match="limit=0"):
        DataSpec(path=spec.path, limit=0)


def test_mapped_columns_win_over_columns_of_that_name(tmp_path):
    rows = [{"prompt": "wrong", "question": "right", "bad": "Yes", "good": "No", "n": 1}]
    columns = {"prompt": "question", "chosen": "good", "rejected": "bad"}
    spec = DataSpec(path=write(tmp_path / "q.jsonl", rows), columns=columns)
    (pair,) = load_preferences(spec).rows
    assert (pair.query.text, pair.chosen, pair.rejected) == ("right", "No", "Yes")
    assert pair.query.meta["n"] == 1


def test_columns_can_be_swapped(tmp_path):
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    swapped = {"chosen": "rejected", "rejected": "chosen"}
    spec = DataSpec(path=write(tmp_path / "q.jsonl", rows), columns=swapped)
    assert load_preferences(spec).rows[0].chosen == "b"


def test_unknown_columns_are_named_once_with_the_nearest(tmp_path):
    path = write(tmp_path / "q.jsonl")
    with pytest.raises(DataError, match="did you mean 'prompt'") as caught:
        load_queries(DataSpec(path=path, columns={"prompt": "promt"}))
    assert str(caught.value).count("promt'") == 1
    with pytest.raises(SeveralErrors) as several:
        load_queries(DataSpec(path=path, columns={"prompt": "promt", "chosen": "kinf"}))
    assert len(several.value.errors) == 2


@pytest.mark.parametrize("where", [{}, {"path": "a.jsonl", "dataset": "b"}])
def test_rows_come_from_one_place(where):
    with pytest.raises(DataError, match="exactly one"):
        DataSpec(**where)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("missing.jsonl", None, "there is no such file"),
        ("empty.jsonl", b"", "it is empty"),
        ("blank.jsonl", b"\n \n", "it holds no row"),
        ("header.csv", b"prompt,kind\n", "it holds no row"),
        ("none.json", b"[]", "it holds no row"),
        ("q.doc", b"Hi", "suffix '.doc' does not tell"),
        ("q.parquet.gz", b"Hi", "does not tell its format"),
        ("number.json", b"3", "not a list of rows"),
        ("list.jsonl", b'["Hi"]', "not list"),
        ("latin.jsonl", '{"prompt": "é"}'.encode("latin-1"), "cannot be read"),
        ("not.jsonl.gz", b"plain", "cannot be read"),
        (
            "cut.jsonl.gz",
            gzip.compress(b'{"prompt": "Hi"}\n' * 50, mtime=0)[:-12],
            "cannot be read",
        ),
        ("not.parquet", b"plain text", "not Parquet"),
        ("long.csv", b'prompt,kind\n"a",b,c\n', "more or fewer fields"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, name, content, why):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=why) as caught:
        load_queries(DataSpec(path=path))
    assert str(path) in caught.value.given
    assert caught.value.fix


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(DataError, match="it is a directory"):
        load_queries(DataSpec(path=tmp_path))


def test_broken_json_is_told_with_its_line(tmp_path):
    spec = lines(tmp_path, '{"prompt": "a"}', "", '{"prompt": "b"')
    with pytest.raises(DataError, match=r"line 3\n.*column 15"):
        load_queries(spec)
    path = tmp_path / "q.json"
    path.write_text('[{"prompt": "a"},\n{"prompt" "b"}]')
    with pytest.raises(DataError, match="line 2"):
        load_queries(DataSpec(path=path))


def test_a_csv_row_is_told_with_the_line_it_begins_on(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text('prompt,kind\n"a\nb",x\n,\n')
    with pytest.raises(DataError, match=r"line 4.*\n.*prompt is empty"):
        load_queries(DataSpec(path=path))


def test_all_bad_rows_are_told_together_also_before_a_broken_line(tmp_path):
    spec = lines(tmp_path, '{"text": "a"}', '{"prompt": "b"}', '{"prompt": ""}', "{")
    with pytest.raises(SeveralErrors) as caught:
        load_queries(spec)
    told = [error.given for error in caught.value.errors]
    assert [f"line {n}" in text for n, text in zip((1, 3, 4), told)] == [True] * 3
    assert len(told) == 3


def test_not_every_one_of_many_bad_rows_is_told(tmp_path):
    with pytest.raises(SeveralErrors) as caught:
        load_queries(lines(tmp_path, *['{"text": "a"}'] * 50))
    assert len(caught.value.errors) == 5


def test_rows_that_prefer_nothing_are_dropped_and_counted(tmp_path):
    rows = [
        {"prompt": "a", "chosen": "x", "rejected": "y"},
        {"prompt": "b", "chosen": "x", "rejected": "x"},
        {"prompt": "c", "chosen": "x", "rejected": " "},
    ]
    path = write(tmp_path / "p.jsonl", rows)
    found = load_preferences(DataSpec(path=path))
    assert [p.query.text for p in found.rows] == ["a"]
    assert found.dropped == {"equal answers": 1, "an empty answer": 1}
    with pytest.raises(DataError, match="no pair is left: 1 rows had equal answers"):
        load_preferences(DataSpec(path=write(path, rows[1:2])))


def test_pairs_without_a_query_are_an_error(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"chosen": "x", "rejected": "y"}])
    with pytest.raises(DataError, match="it has no query"):
        load_preferences(DataSpec(path=path))


def test_texts(tmp_path):
    transcript = "\n\nHuman: Hi\n\nAssistant: Hello"
    path = write(tmp_path / "t.jsonl", [{"text": "plain"}, {"chosen": transcript}])
    assert load_texts(DataSpec(path=path)) == ["plain", transcript]
    with pytest.raises(DataError, match="it has no text"):
        load_texts(DataSpec(path=write(path, ROWS[:1])))


def test_real_transcripts(shared_data):
    spec = DataSpec(path=shared_data / "hh-rlhf" / "harmless-base-test.jsonl.gz")
    found = load_preferences(spec)
    assert found.dropped == {"diverging conversations": 5, "an empty answer": 4}
    assert len(found.rows) + 9 == len(load_texts(spec)) == 2312
    assert all(p.query.messages[0].role == "user" for p in found.rows)
    assert not any("\n\nHuman:" in p.chosen + p.rejected for p in found.rows)
    queries = load_queries(spec)
    assert len({q.id for q in queries}) == len(queries) == 2310


@pytest.mark.parametrize("name", ["g.jsonl", "g.jsonl.gz", "g.parquet"])
def test_groups_come_back_as_they_were(tmp_path, name):
    groups = row_groups()
    save_groups(tmp_path / "new" / name, groups)
    assert load_groups(tmp_path / "new" / name) == groups
    assert [p.name for p in (tmp_path / "new").iterdir()] == [name]


def test_groups_are_not_written_to_a_name_that_cannot_be_read_back(tmp_path):
    for name in ("g.json", "g.txt", "g", "g.csv.gz"):
        with pytest.raises(OutputError, match="suffix"):
            check_groups_path(tmp_path / name)
    with pytest.raises(OutputError, match="suffix"):
        save_groups(tmp_path / "g.json", row_groups())
    assert not list(tmp_path.iterdir())


def test_something_else_than_groups(tmp_path):
    with pytest.raises(DataError, match=r"line 1\n.*not a group: it has no 'responses'"):
        load_groups(write(tmp_path / "q.jsonl"))


def test_a_group_that_breaks_an_invariant_is_told_with_its_line(tmp_path):
    records = [group.to_json() for group in row_groups()]
    records[1]["responses"][0]["score"] = None
    with pytest.raises(DataError, match="line 2: a group of which 1 of 2"):
        load_groups(write(tmp_path / "g.jsonl", records))


def test_queries_come_back_as_they_were(tmp_path):
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    queries = [
        Query.from_text("plain", kind="benign"),
        Query(turns, {"messages": "a column of that name"}),
        Query(turns[:1]),
        Query((Message("system", "s"), *turns), {"chosen": "d"}, conversational=False),
    ]
    save_queries(tmp_path / "q.jsonl", queries)
    assert load_queries(DataSpec(path=tmp_path / "q.jsonl")) == queries


def test_a_hub_data_set_by_id_config_and_split(monkeypatch):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return [{"q": "one"}, {"q": "two"}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    spec = DataSpec(dataset="org/set", config="easy", split="test", columns={"prompt": "q"})
    assert [q.text for q in load_queries(spec)] == ["one", "two"]
    assert asked == [(("org/set", "easy"), {"split": "test"})]


@pytest.mark.parametrize("why", ["Cannot reach the hub\nmany lines more", ""])
def test_a_hub_that_cannot_be_reached(monkeypatch, why):
    def load_dataset(*args, **kwargs):
        raise ConnectionError(why)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DataError, match="give a local path") as caught:
        load_queries(DataSpec(dataset="org/set", split="test"))
    assert caught.value.given == "data set 'org/set' (test)"
    assert caught.value.why == (why.splitlines() or ["ConnectionError"])[0]


def test_importing_the_light_modules_imports_nothing_heavy():
    heavy = "{'torch', 'transformers', 'datasets', 'pyarrow', 'pandas'}"
    code = (
        "import sys, neat_align.data, neat_align.prompts.steering\n"
        "import neat_align.storage.runs, neat_align.types\n"
        f"sys.exit(', '.join({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stderr.strip() == ""
