"""Data sets in parts: complete, without overlap, resumable, and flat in memory."""

import json
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from neat_align.data import load_groups, read_groups, save_groups
from neat_align.data.groups import seen as seen_module
from neat_align.data.groups import shards as module
from neat_align.data.groups.finished import Finished, unfinished
from neat_align.data.groups.flags import Filter, group_flags
from neat_align.data.groups.seen import SeenIds
from neat_align.data.groups.shards import Shard, write_shard
from neat_align.data.groups.stats import group_stats
from neat_align.data.groups.wide import VERSION_KEY
from neat_align.errors import DataError, RecipeError
from neat_align.types import Group, Query, Response, Source

QUERIES = [Query.from_text(f"query {i}", number=i) for i in range(50)]


def make(queries):
    return [
        Group(q, (Response(f"yes {q.text}", Source.POSITIVE), Response("no", Source.NEGATIVE)))
        for q in queries
    ]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(module, "PART", 4)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_shards_hold_every_query_once(tmp_path, count):
    twice = [*QUERIES, *QUERIES[::-1]]
    for index in range(count):
        write_shard(iter(twice), Shard(index, count), tmp_path, make)
    groups = load_groups(tmp_path)
    assert sorted(g.query.id for g in groups) == sorted(q.id for q in QUERIES)
    assert {g.query.id: g for g in groups} == {g.query.id: g for g in make(QUERIES)}
    assert all(len(load_groups(path)) <= 4 for path in tmp_path.glob("*.parquet"))


def test_a_query_stays_in_its_shard_wherever_it_stands():
    shard, turned = Shard(1, 3), [*QUERIES[20:], *QUERIES[:20]]
    assert {q.id for q in QUERIES if shard.holds(q)} == {q.id for q in turned if shard.holds(q)}
    assert 5 < sum(map(shard.holds, QUERIES)) < 30


def test_what_is_written_is_not_made_again(tmp_path):
    write_shard(QUERIES, Shard(), tmp_path, make)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / sorted(before)[2]).unlink()
    asked, told = [], []

    def spy(queries):
        asked.extend(queries)
        return make(queries)

    assert write_shard(QUERIES, Shard(), tmp_path, spy, told.append)[0] == 4
    assert asked == QUERIES[8:12]
    assert sum(told) == len(QUERIES)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_ids_are_told_apart_across_merges(monkeypatch):
    monkeypatch.setattr(seen_module, "RECENT", 8)
    seen = SeenIds()
    ids = [Query.from_text(str(i)).id for i in range(100)]
    assert all(seen.add(i) for i in ids)
    assert not any(seen.add(i) for i in ids)
    assert len(seen) == 100
    assert seen.add("ffffffffffffffff")
    assert seen.add("0" * 16)
    assert not seen.add("ffffffffffffffff")


def test_a_part_that_could_not_be_made_leaves_the_others(tmp_path):
    def fail_later(queries):
        if QUERIES[9] in queries:
            raise RuntimeError("killed")
        return make(queries)

    with pytest.raises(RuntimeError):
        write_shard(QUERIES, Shard(), tmp_path, fail_later)
    assert [g.query for g in read_groups(tmp_path, unfinished=True)] == QUERIES[:8]
    with pytest.raises(DataError, match=r"shard 0 of 1 is not finished \(2 parts so far\)"):
        load_groups(tmp_path)


def test_a_data_set_without_all_its_shards_is_not_taken_for_whole(tmp_path):
    for index in (0, 2):
        write_shard(QUERIES, Shard(index, 3), tmp_path, make)
    assert unfinished(tmp_path) == ["shard 1 of 3 is not finished (0 parts so far)"]
    with pytest.raises(DataError, match="not the whole data set"):
        next(read_groups(tmp_path))
    write_shard(QUERIES, Shard(1, 3), tmp_path, make)
    assert not unfinished(tmp_path)
    lost = sorted(tmp_path.glob("shard-00002-of-00003-part-*"))[1]
    lost.unlink()
    with pytest.raises(DataError, match=f"{lost.name} is missing"):
        next(read_groups(tmp_path))


def test_a_shard_that_no_query_falls_to_is_finished(tmp_path):
    for index in range(9):
        write_shard(QUERIES[:2], Shard(index, 9), tmp_path, make)
    assert not unfinished(tmp_path)
    assert len(load_groups(tmp_path)) == 2


def test_repeated_queries_are_counted(tmp_path):
    _, whole = write_shard([*QUERIES, *QUERIES[:7]], Shard(), tmp_path, make)
    assert whole == Finished(parts=13, queries=50, repeated=7)


def test_files_in_the_hubs_layout_say_how_many_they_are(tmp_path):
    for number in (0, 2):
        name = f"train-{number:05d}-of-00003.parquet"
        save_groups(tmp_path / "data" / name, make(QUERIES[number : number + 1]))
    with pytest.raises(DataError, match=r"train-00001-of-00003\.parquet is missing"):
        load_groups(tmp_path)
    save_groups(tmp_path / "data" / "train-00001-of-00003.parquet", make(QUERIES[1:2]))
    assert [g.query for g in load_groups(tmp_path)] == QUERIES[:3]


@pytest.mark.parametrize("shard", [(1, 1), (-1, 2), (3, 3)])
def test_a_shard_that_is_none_is_refused(shard):
    with pytest.raises(RecipeError, match="numbered from 0"):
        Shard(*shard)


def test_memory_does_not_grow_with_the_data_set(tmp_path):
    """Ten times the queries may take no more than the ids that were seen, and noise."""
    script = (
        "import sys, tempfile, pathlib, psutil\n"
        "from neat_align.study.memory import PeakMemory\n"
        "from neat_align.data.groups.shards import Shard, write_shard\n"
        "from neat_align.data.groups.wide import wide_bytes\n"
        "from neat_align.types import Query\n"
        "from neat_align.sampling.scripted import ScriptedSampler\n"
        "from neat_align.sampling.groups import GroupPlan, sample_groups\n"
        "from neat_align.sampling.base import Decoding\n"
        "from neat_align.prompts.steering import Steering\n"
        "steering = Steering('s', ('good',), ('bad',))\n"
        "sampler = ScriptedSampler(lambda request: f'answer {request.seed} ' * 5)\n"
        "make = lambda part: sample_groups(\n"
        "    sampler, part, steering, GroupPlan(), Decoding(), 0)\n"
        "def run(count):\n"
        "    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:\n"
        "        queries = (Query.from_text(f'{count} {i}') for i in range(count))\n"
        "        write_shard(queries, Shard(), pathlib.Path(folder), make)\n"
        "    return memory.bytes\n"
        "run(2000)\n"
        "print(run(2000), run(20000))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    small, large = map(int, done.stdout.split())
    assert large - small < 12 * 2**20, done.stderr


def scored(*scores, sources=(Source.POSITIVE, Source.NEGATIVE), texts=None, finish="stop"):
    texts = texts or [f"text {i}" for i in range(len(scores))]
    return Group(
        QUERIES[0],
        tuple(
            Response(text, source, finish=finish, score=score, scores={"r": score})
            for text, source, score in zip(texts, sources, scores)
        ),
    )


def test_flags_tell_what_is_odd():
    assert group_flags(scored(1.0, 0.0)) == []
    assert group_flags(scored(0.0, 1.0)) == ["negative_above_positives"]
    assert group_flags(scored(1.0, 0.0, texts=["a", "a "])) == ["duplicate", "tie"]
    assert group_flags(scored(1.0, 0.0, texts=["a", " "])) == ["empty"]
    assert group_flags(scored(1.0, 0.0, finish="length")) == ["truncated"]
    assert group_flags(scored(1.0, 1.0)) == ["tie"]


def test_filters_drop_what_is_asked_and_count_it():
    three = (Source.POSITIVE, Source.POSITIVE, Source.NEGATIVE)
    group = scored(1.0, 0.9, 0.5, sources=three, texts=["a", "a", "b"])
    left, dropped = Filter(frozenset({"duplicate"}))([group])
    assert [r.text for r in left[0].responses] == ["a", "b"]
    assert dropped == {"responses": 1}
    assert Filter()([scored(0.0, 1.0, texts=["a", ""])])[0] != []
    left, dropped = Filter(min_gap=0.6)([scored(1.0, 0.5), scored(1.0, 0.3)])
    assert left == [scored(1.0, 0.3)]
    assert dropped == {"responses": 0, "groups without a gap above 0.6": 1}
    left, dropped = Filter(frozenset({"empty"}))([scored(1.0, 0.0, texts=["a", ""])])
    assert left == []
    assert dropped["groups with fewer than two responses left"] == 1


def test_a_part_of_which_nothing_is_left_is_no_error(tmp_path):
    save_groups(tmp_path / "a.parquet", [])
    save_groups(tmp_path / "b.parquet", make(QUERIES[:2]))
    assert len(list(read_groups(tmp_path))) == 2
    with pytest.raises(DataError, match="no row"):
        load_groups(tmp_path / "a.parquet")


def test_tables_of_something_else_are_refused(tmp_path):
    save_groups(tmp_path / "g.parquet", make(QUERIES[:1]))
    table = parquet.read_table(tmp_path / "g.parquet")
    newer = table.replace_schema_metadata({VERSION_KEY: b"99"})
    parquet.write_table(newer, tmp_path / "newer.parquet")
    with pytest.raises(DataError, match="version 99"):
        load_groups(tmp_path / "newer.parquet")
    parquet.write_table(pa.table({"prompt": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="no table of groups"):
        load_groups(tmp_path / "other.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "g.parquet").read_bytes()[:200])
    with pytest.raises(DataError, match="not Parquet"):
        load_groups(tmp_path / "cut.parquet")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no \*\.parquet"):
        load_groups(tmp_path / "none")


def test_stats_count_what_is_there():
    found = group_stats([scored(1.0, 0.0), scored(0.0, 3.0), scored(1.0, 0.0, texts=["a", "a"])])
    assert (found["groups"], found["responses"], found["scored"]) == (3, 6, 3)
    assert found["flags"] == {"duplicate": 1, "negative_above_positives": 1, "tie": 1}
    assert found["sources"]["negative"]["mean_score"] == 1.0
    assert found["sources"]["negative"]["duplicate"] == 1
    assert found["gaps"]["1"] == 2
    assert found["gaps"]["2"] == 1
    assert json.dumps(found)
