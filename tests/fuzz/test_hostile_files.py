"""Single hostile inputs that a fuzz run would hardly find."""

import json

import pytest

from neat_align.data import DataSpec, load_queries
from neat_align.errors import DataError, RecipeError
from neat_align.recipe import load_recipe
from neat_align.storage.yaml_text import parse_yaml

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_line_of_megabytes_is_a_row(tmp_path, suffix):
    text = "how? " * 500_000
    path = tmp_path / f"long{suffix}"
    if suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"prompt": [text]}), path)
    else:
        content = json.dumps({"prompt": text})
        path.write_text({".json": f"[{content}]", ".csv": f"prompt\n{text}\n"}.get(suffix, content))
    (query,) = load_queries(DataSpec(path))
    assert query.text == text


def test_control_and_bidirectional_characters_are_kept(tmp_path):
    text = "a\0b\x1b[31m\u202egnp.exe\u2066 \ufeff\u0085 e\u0301"
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps({"prompt": text}))
    assert load_queries(DataSpec(path))[0].text == text


def test_half_a_character_is_refused(tmp_path):
    path = tmp_path / "half.jsonl"
    path.write_text('{"prompt": "ok"}\n{"prompt": "so: \\ud83d"}\n')
    with pytest.raises(DataError, match="line 2") as caught:
        load_queries(DataSpec(path))
    assert "half a character" in caught.value.why


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: " + "[" * 5000,
        "x: !!python/object/apply:os.system ['echo hi']",
        BOMB,
        "2001-99-99",
        "a: {b: 1, b: 2}",
        '{"a": 1, "a": 2}',
        "\0",
    ],
)  # fmt: skip
def test_yaml_that_builds_objects_or_never_ends_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"YAML|more than"):
        parse_yaml(text)
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError):
        load_recipe(path)


def test_merged_keys_may_stand_there_again():
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}\n"
    assert parse_yaml(text)["c"] == {"x": 3, "y": 4}


def test_names_in_a_recipe_lead_nowhere(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "{model: m, queries: q.jsonl, reward: {polarity: true}, steering: harmless, "
        "compare: {development: {queries: q}, variants: {../../x: {methods: [dpo]}}}}"
    )
    with pytest.raises(RecipeError, match="pattern"):
        load_recipe(path)


@pytest.mark.parametrize("name", ["chosen", "rejected"])
def test_a_conversation_without_a_turn(tmp_path, name):
    user, answer = {"role": "user", "content": "how?"}, {"role": "assistant", "content": "so"}
    row = {"chosen": [user, answer], "rejected": [user, answer], name: []}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(DataError):
        load_queries(DataSpec(path))
