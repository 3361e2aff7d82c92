"""Each file that CONTRIBUTING.md shows is one that works when it is put into its folder."""

import importlib
import json
import re

import pytest
import yaml
from tests.docs.test_commands import ROOT, blocks

from neat_align import check_objective
from neat_align.data import formats, load_queries
from neat_align.evaluation import registry
from neat_align.prompts.steering import Steering
from neat_align.scoring import check_scorer_value, resolve_scorer
from neat_align.types import Group, Query, Response, Source

FILES = {
    text.splitlines()[0].removeprefix("# src/"): text
    for language in ("python", "yaml")
    for page, text in blocks(language)
    if page.name == "CONTRIBUTING.md" and text.startswith("# src/")
}


@pytest.fixture
def added(tmp_path, monkeypatch):
    """Return a function that puts a file of the page into its package, and imports it."""

    def add(path):
        folder, _, name = path.rpartition("/")
        package = importlib.import_module(folder.replace("/", "."))
        (tmp_path / name).write_text(FILES[path], encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        return importlib.import_module(f"{package.__name__}.{name.removesuffix('.py')}")

    return add


def test_the_format(added, tmp_path):
    added("neat_align/data/formats/interview.py")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"asked": "Why?", "better_reply": "So.", "worse_reply": "No."}))
    formats.formats.cache_clear()
    (query,) = load_queries(rows)
    assert (query.text, query.meta["chosen"]) == ("Why?", "So.")


def test_the_steering_value():
    (pair,) = yaml.safe_load(FILES["neat_align/prompts/steering.yaml"]).values()
    assert pair.pop("about")
    assert pair.pop("version") == 1
    assert Steering.from_value(pair).held_back_negative


def test_the_objective(added):
    check_objective(added("neat_align/objectives/margin.py").Margin())


def test_the_scorer(added):
    added("neat_align/scoring/named/shortness.py")
    group = Group(Query.from_text("q"), (Response("a" * 9, Source.PLAIN),))
    assert resolve_scorer("shortness=5").score([group]) == [[-4.0]]
    assert not check_scorer_value("shortness")


def test_the_metric_and_the_benchmark(added, tmp_path):
    added("neat_align/evaluation/metrics/shouting.py")
    added("neat_align/evaluation/tasks/polite.py")
    known = registry.metrics()
    assert known["shouting"].observe({"text": "NO!"})
    assert known["polite/please"].title == "Polite: please"
    (tmp_path / "polite.jsonl").write_text('{"prompt": "Give it!"}\n')
    assert len(registry.benchmark("polite").of(tmp_path / "polite.jsonl").queries) == 1


def test_every_file_of_the_page_is_tried():
    assert len(FILES) == 6


def test_every_room_is_on_the_map():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = text.partition("src/neat_align/\n")[2].partition("\ntests/")[0]
    rooms = {folder.parent.name for folder in (ROOT / "src/neat_align").glob("*/__init__.py")}
    assert set(re.findall(r"(?:^| )(\w+)/(?= )", tree)) == rooms


@pytest.fixture(autouse=True)
def forgotten():
    """Forget what was found in folders that a test has added."""
    yield
    formats.formats.cache_clear()
