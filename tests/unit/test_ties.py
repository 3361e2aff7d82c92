"""Groups of which no pair can be made: flagged, and in no trainer's way."""

import datasets
import pytest

from neat_align.data import load_groups, save_groups
from neat_align.data.groups import hub
from neat_align.data.groups.flags import Filter, best_and_worst, group_flags
from neat_align.data.groups.wide import wide_row
from neat_align.types import Group, Query, Response, Source

pytestmark = pytest.mark.filterwarnings("ignore")  # `datasets` warns about itself


def group(number, *scored):
    responses = tuple(Response(text, Source.PLAIN, score=score) for text, score in scored)
    return Group(Query.from_text(f"question {number}"), responses)


PAIR = group(0, ("yes", 1.0), ("no", 0.0))
TIES = [
    group(1, ("yes", 0.5), ("no", 0.5)),
    group(2, ("yes", 1.0), ("yes ", 0.0)),  # one text, scored twice
    group(3, ("alone", 1.0)),
]


@pytest.mark.parametrize("tie", TIES, ids=["scores", "texts", "alone"])
def test_a_tie_is_flagged_and_makes_no_pair(tie):
    assert "tie" in group_flags(tie)
    assert best_and_worst(tie) is None
    row = wide_row(tie)
    assert {row.get(name) for name in ("chosen", "rejected", "completion")} == {None}


def test_a_pair_is_the_first_best_and_the_first_worst():
    best, worst = best_and_worst(group(0, ("a", 1), ("b", 0), ("c", 1), ("d", 0)))
    assert (best.text, worst.text) == ("a", "b")
    assert "tie" not in group_flags(PAIR)
    assert "tie" not in group_flags(group(0, ("a", None), ("b", None)))  # not scored yet


@pytest.mark.parametrize("ties", [1, 3])
def test_an_export_keeps_ties_apart_from_what_trainers_read(tmp_path, ties):
    groups = [PAIR, *TIES[:ties]]
    save_groups(tmp_path / "scored" / "a.parquet", groups)
    assert hub.export_groups(tmp_path / "scored", tmp_path / "out") == len(groups)
    rows = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "c"))["train"]
    assert [row["chosen"][0]["content"] for row in rows] == ["yes"]
    back = load_groups(tmp_path / "out")
    assert sorted(back, key=lambda g: g.query.text) == groups
    assert f"| tie | {ties} |" in (tmp_path / "out" / "README.md").read_text()


def test_groups_that_are_not_scored_are_exported_as_they_were(tmp_path):
    save_groups(tmp_path / "a.parquet", [group(0, ("a", None), ("b", None))])
    hub.export_groups(tmp_path / "a.parquet", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == [
        "train-00000-of-00001.parquet"
    ]


def test_a_gap_of_nought_leaves_equal_scores_out():
    kept, dropped = Filter(min_gap=0.0)([PAIR, *TIES[:2]])
    assert [g.query.text for g in kept] == ["question 0", "question 2"]
    assert dropped["groups without a gap above 0"] == 1
