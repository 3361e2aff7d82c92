"""What a reward's code uses belongs to a run, however the code comes to name it."""

import json
import sys

import pytest

from neat_align.provenance.models import model_content
from neat_align.provenance.scorers import scorer_content
from neat_align.provenance.source_code import named

HEAD = "import os\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(own)
    return own


@pytest.mark.parametrize(
    ("code", "used"),
    [
        ("A = (HERE / 'data' / 'a.csv').read_text()", ["data/a.csv"]),
        ("A = open(os.path.join(os.path.dirname(__file__), 'data', 'a.csv'))", ["data/a.csv"]),
        ("A = open(f'{HERE}/data/a.csv')", ["data/a.csv"]),
        ("A = open(f'{HERE}/data/{name}.csv')", ["data/a.csv", "data/b.csv"]),
        ("A = sorted((HERE / 'data').glob('*.csv'))", ["data/a.csv", "data/b.csv", "data/c.json"]),
        ("A = [open(p) for p in (HERE / 'data').iterdir()]", None),
        ("A = Path(__file__).with_suffix('.json').read_text()", ["r.json"]),
        ("A = (Path(__file__).parents[1] / 'up' / 'x.txt').read_text()", ["x.txt"]),
        ("LOG = HERE / 'data' / 'a.csv'\ndef f():\n    LOG.open('a').write('x')", []),
        (
            "def log(path):\n    with open(path, 'a') as f:\n        f.write('x')\n"
            "def score(**kwargs):\n    log(HERE / 'data' / 'a.csv')",
            [],
        ),
    ],
)
def test_files_that_code_names(folder, code, used):
    names = ("data/a.csv", "data/b.csv", "data/c.json", "r.json", "q.csv", "../up/x.txt")
    write(folder, {**dict.fromkeys(names, "1"), "r.py": HEAD + code})
    expected = ["data/a.csv", "data/b.csv", "data/c.json"] if used is None else used
    assert sorted(named(folder / "r.py")) == expected


def test_modules_of_packages_and_of_the_search_path(folder, monkeypatch):
    """A helper counts wherever Python would find it."""
    write(
        folder,
        {
            "kit/__init__.py": "",
            "kit/words.py": "W = 1",
            "kit/sub/__init__.py": "from kit.words import W",
            "kit/sub/rewards.py": "from ..helper import f\nimport far\nimport os, torch",
            "kit/helper.py": "f = 1",
            "../lib/far.py": "x = 1",
        },
    )
    for place in (folder, folder.parent / "lib"):
        monkeypatch.syspath_prepend(str(place))
    content = scorer_content("kit.sub.rewards:score")
    inside = {"kit/__init__.py", "kit/helper.py", "kit/sub/__init__.py", "kit/words.py"}
    assert set(content) == {"function", "source", "far.py", *inside}
    assert set(content) == set(scorer_content(f"{folder}/kit/sub/rewards.py:score"))
    write(folder, {"../lib/far.py": "x = 2"})
    assert scorer_content("kit.sub.rewards:score")["far.py"] != content["far.py"]
    assert "kit" not in sys.modules  # nothing was imported for it


def test_the_layout_of_a_models_settings_is_no_change(tmp_path):
    settings = {"a": 1, "b": [1, 2]}
    turned = dict(reversed(settings.items()))
    found = []
    for text in (json.dumps(settings), json.dumps(turned, indent=2), '{"a": 2, "b": [1, 2]}'):
        (tmp_path / "config.json").write_text(text)
        found.append(model_content(str(tmp_path)))
    assert found[0] == found[1] != found[2]
