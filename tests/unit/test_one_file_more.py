"""What a stranger adds with one file or one entry: a data format, a steering value."""

import json
import textwrap

import pytest
import yaml
from typer.testing import CliRunner

from neat_align.cli import app
from neat_align.data import DataSpec, formats, load_preferences, load_queries
from neat_align.errors import DataError
from neat_align.prompts import steering
from neat_align.types import Message

INTERVIEW = """
    from neat_align.data.format import Format, beside, waiting
    from neat_align.types import Message

    USED = ("asked", "better_reply", "worse_reply")

    def _query(row):
        answers = {"chosen": row.get(USED[1]), "rejected": row.get(USED[2])}
        return waiting([Message("user", row["asked"])], {**beside(row, *USED), **answers}, False)

    FORMAT = Format(
        ("asked",), lambda row: bool(row.get("asked")), _query, answers=USED[1:]
    )
"""
ROW = {"Asked": "What is a lamp?", "better_reply": "A light.", "worse_reply": "No.", "kind": "x"}


@pytest.fixture
def interview(tmp_path, monkeypatch):
    """Add a format in a file of the folder of formats, and rows that have it."""
    folder = tmp_path / "dropped_in"
    folder.mkdir()
    (folder / "interview.py").write_text(textwrap.dedent(INTERVIEW), encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="it has no query"):
        load_queries(rows)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    formats.formats.cache_clear()
    yield rows
    monkeypatch.undo()
    formats.formats.cache_clear()


def test_a_data_format_is_one_file(interview, tmp_path):
    (query,) = load_queries(interview)
    assert query.messages == (Message("user", "What is a lamp?"),)
    assert query.meta == {"kind": "x", "chosen": "A light.", "rejected": "No."}
    (pair,) = load_preferences(DataSpec(interview)).rows
    assert (pair.chosen, pair.rejected) == ("A light.", "No.")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.format(rows=interview) + "steering: polite\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["recipe", "check", str(recipe)])
    assert done.exit_code == 0, done.exception
    assert "no problem found" in done.output


def test_a_steering_value_is_one_entry(tmp_path, monkeypatch):
    entry = {"version": 1, "about": "Never rhymes.", "positive": ["Use prose."]}
    more = {**steering._built_in(), "prose": {**entry, "negative": ["Answer in rhymes."]}}
    package = tmp_path / "prompts"
    package.mkdir()
    (package / "steering.yaml").write_text(yaml.safe_dump(more), encoding="utf-8")
    monkeypatch.setattr(steering, "files", lambda name: tmp_path)
    steering._built_in.cache_clear()
    try:
        listed = CliRunner().invoke(app, ["steering", "list"])
        assert "Never rhymes." in listed.output
        queries = tmp_path / "queries.jsonl"
        queries.write_text('{"prompt": "Hi"}\n', encoding="utf-8")
        recipe = tmp_path / "mine.yaml"
        recipe.write_text(RECIPE.format(rows=queries) + "steering: prose\n", encoding="utf-8")
        done = CliRunner().invoke(app, ["recipe", "check", str(recipe)])
        assert done.exit_code == 0, done.exception
    finally:
        monkeypatch.undo()
        steering._built_in.cache_clear()


RECIPE = """
queries: {{path: {rows}}}
reward: {{model: polarity}}
model: {{from_scratch: {{data: {{path: {rows}}}}}}}
"""
