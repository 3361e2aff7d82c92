"""A data set of groups on the hub: the real client against a hub of the tests' own."""

import json
import os
import subprocess
import sys

import datasets
import pytest
from tests.unit.hub_stub import HubStub

from neat_align.data import load_groups, save_groups
from neat_align.data.groups import hub
from neat_align.data.groups.shards import Shard, write_shard
from neat_align.errors import DataError, OutputError
from neat_align.types import Group, Query, Response, Source

pytestmark = pytest.mark.filterwarnings("ignore")


def groups_of(count):
    return [
        Group(
            Query.from_text(f"how do I clean lamp {i}?"),
            (
                Response("with a cloth", Source.POSITIVE, "Be kind.", score=1.0),
                Response("no", Source.NEGATIVE, "Be mean.", score=float(-i)),
            ),
        )
        for i in range(count)
    ]


@pytest.fixture
def stub():
    stub = HubStub()
    yield stub
    stub.close()


@pytest.fixture
def scored(tmp_path):
    save_groups(tmp_path / "scored" / "a.parquet", groups_of(6))
    return tmp_path / "scored"


@pytest.fixture
def neat(tmp_path, stub):
    """Run `neat` with the stub as its hub."""

    def run(*words, token="hf_right"):
        names = {"HF_ENDPOINT": stub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": token}
        env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | names
        command = [sys.executable, "-m", "neat_align", "dataset", *map(str, words)]
        return subprocess.run(
            command, env=env, capture_output=True, text=True, cwd=tmp_path, timeout=120
        )

    return run


def test_groups_go_to_the_hub_and_come_back(neat, stub, scored, tmp_path):
    done = neat("push", scored, "team/groups")
    assert done.returncode == 0, done.stderr
    assert "/datasets/team/groups" in done.stdout
    assert stub.private == {"team/groups": True}
    assert set(stub.repos["team/groups"]) >= {"README.md", "data/train-00000-of-00001.parquet"}
    done = neat("pull", "team/groups", "back")
    assert done.returncode == 0, done.stderr
    assert "6 rows" in done.stdout
    assert load_groups(tmp_path / "back") == groups_of(6)
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["README.md", "data"]
    assert json.loads(neat("stats", "back", "--json").stdout)["groups"] == 6


def test_a_second_push_leaves_nothing_of_the_first(neat, stub, scored, tmp_path):
    neat("push", scored, "team/groups", "--public")
    assert stub.private == {"team/groups": False}
    stub.repos["team/groups"]["data/train-00001-of-00002.parquet"] = b"old"
    save_groups(scored / "a.parquet", groups_of(2))
    done = neat("push", scored, "team/groups")
    assert done.returncode == 0, done.stderr
    data = [name for name in stub.repos["team/groups"] if name.startswith("data/")]
    assert data == ["data/train-00000-of-00001.parquet"]
    neat("pull", "team/groups", "back")
    assert load_groups(tmp_path / "back") == groups_of(2)


def test_what_the_hub_refuses_is_told_without_the_token(neat, stub, scored, tmp_path):
    for words in (("push", scored, "team/groups"), ("pull", "team/groups", "back")):
        done = neat(*words, token="hf_wrong")
        assert done.returncode == 2
        assert "hf auth login" in done.stderr
        assert "hf_wrong" not in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    assert not stub.repos
    done = neat("pull", "team/absent", "back")
    assert done.returncode == 2
    assert "team/absent" in done.stderr
    assert not (tmp_path / "back").exists()
    assert neat("push", scored, "no//name").returncode == 2


def test_what_is_no_data_set_of_groups_is_not_fetched(neat, stub, tmp_path):
    stub.repos["team/other"] = {"README.md": b"hello", "data/train-00000-of-00001.parquet": b"x"}
    done = neat("pull", "team/other", "back")
    assert done.returncode == 2
    assert "neat dataset push" in done.stderr
    assert not (tmp_path / "back").exists()


def test_a_data_set_that_is_not_whole_is_not_pushed(neat, stub, tmp_path):
    queries = [Query.from_text(str(i)) for i in range(20)]
    make = lambda part: [Group(q, groups_of(1)[0].responses) for q in part]  # noqa: E731
    write_shard(queries, Shard(0, 2), tmp_path / "half", make)
    done = neat("push", "half", "team/groups")
    assert done.returncode == 2
    assert "shard 1 of 2" in done.stderr
    assert not stub.repos


def test_datasets_loads_what_was_exported(tmp_path, scored, monkeypatch):
    monkeypatch.setattr(hub, "ROW_GROUP", 2)
    monkeypatch.setattr(hub, "FILE_BYTES", 1)
    assert hub.export_groups(scored, tmp_path / "out") == 6
    files = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert files == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]
    rows = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(rows) == 6
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "with a cloth"}]
    assert load_groups(tmp_path / "out") == groups_of(6)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| groups | 6 |" in card
    assert "| negative_above_positives |" not in card
    with pytest.raises(OutputError, match="it exists"):
        hub.export_groups(scored, tmp_path / "out")
    next((tmp_path / "out" / "data").iterdir()).unlink()
    with pytest.raises(DataError, match="is missing"):
        hub.export_groups(tmp_path / "out", tmp_path / "again")
