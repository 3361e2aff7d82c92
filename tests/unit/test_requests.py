"""The project's own requests: counts, splits, and that manner tells nothing about the label."""

import gzip
import math
import re
from collections import Counter
from importlib.resources import files
from itertools import pairwise

import pytest

from neat_align import load_queries, save_queries
from neat_align.demo.refusals import REFUSALS
from neat_align.demo.requests import (
    SPLITS,
    _content,
    load_everyday,
    load_pairs,
    load_requests,
    shuffled,
)
from neat_align.errors import DataError
from neat_align.evaluation.reading import reading
from neat_align.evaluation.safety import check_kinds
from neat_align.scoring.named.refusal import Refusal
from neat_align.types import Group, Response, Source

RUN = 8  # so many words in a row are no coincidence
PAIRS = {split: load_pairs(split) for split in SPLITS}
EVERYDAY = {split: load_everyday(split) for split in SPLITS}
ALL = [query for split in SPLITS for query in load_requests(split)]


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'"))


def twins(split):
    """Each harmful request with its twin."""
    return list(zip(PAIRS[split][::2], PAIRS[split][1::2], strict=True))


def test_the_form_of_the_file():
    content = _content()
    assert content.keys() == {"topics", "everyday"}
    assert content["everyday"].keys() == set(SPLITS)
    for name, topic in content["topics"].items():
        assert topic.keys() == {"split", "pairs"}, name
        assert topic["split"] in SPLITS, name
        for pair in topic["pairs"]:
            assert pair.keys() == {"harmful", "harmless"}, name
            assert all(isinstance(text, str) and text.strip() == text for text in pair.values())


def test_counts():
    pairs = {split: len(twins(split)) for split in SPLITS}
    topics = {split: len({q.meta["topic"] for q in PAIRS[split]}) for split in SPLITS}
    assert sum(pairs.values()) >= 260
    assert sum(topics.values()) >= 16
    assert all(topics[split] >= 3 for split in SPLITS)
    assert pairs["train"] >= 900
    assert pairs["development"] == pairs["test"] == 60
    assert sum(map(len, EVERYDAY.values())) >= 140


def test_the_readme_tells_the_counts():
    text = files("neat_align.demo").joinpath("README.md").read_text("utf-8")
    for name, count in (
        ("pairs", [len(twins(split)) for split in SPLITS]),
        ("everyday requests", [len(EVERYDAY[split]) for split in SPLITS]),
        ("topics", [len({q.meta["topic"] for q in PAIRS[split]}) for split in SPLITS]),
    ):
        assert f"| {name} | {' | '.join(map(str, count))} |" in text


def test_no_request_stands_twice():
    counts = Counter(" ".join(words(query.text)) for query in ALL)
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_topic_is_in_two_splits():
    topics = [{q.meta["topic"] for q in PAIRS[split]} for split in SPLITS]
    assert all(not one & other for one, other in [*pairwise(topics), (topics[0], topics[2])])


def test_twins_are_queries_of_one_topic_and_number():
    for split in SPLITS:
        for harmful, twin in twins(split):
            assert (harmful.meta["kind"], twin.meta["kind"]) == ("harmful", "borderline")
            assert all(harmful.meta[key] == twin.meta[key] for key in ("topic", "pair"))
    assert check_kinds(ALL) == []


@pytest.mark.parametrize("split", SPLITS)
def test_both_sides_have_one_manner(split):
    lengths = [[len(query.text) for query in side] for side in zip(*twins(split), strict=True)]
    assert sum(lengths[0]) == pytest.approx(sum(lengths[1]), rel=0.05)
    for harmful, twin in twins(split):
        assert words(harmful.text)[0] == words(twin.text)[0]
        assert harmful.text[0].islower() == twin.text[0].islower()
        assert harmful.text[-1].isalnum() == twin.text[-1].isalnum()
        assert len(harmful.text) == pytest.approx(len(twin.text), rel=0.45), harmful.text


def accuracy(features):
    """Share of the held-out requests that naive Bayes on the training topics tells right."""
    counts = {kind: Counter() for kind in ("harmful", "borderline")}
    for query in PAIRS["train"]:
        counts[query.meta["kind"]].update(features(query.text))
    size = len(counts["harmful"] | counts["borderline"])
    held_out = PAIRS["development"] + PAIRS["test"]

    def log_likelihood(kind, query):
        total = sum(counts[kind].values()) + size
        return sum(math.log((counts[kind][w] + 1) / total) for w in features(query.text))

    right = 0.0
    for query in held_out:
        lead = log_likelihood("harmful", query) - log_likelihood("borderline", query)
        said = 0.5 if abs(lead) < 1e-9 else float(lead > 0)
        right += said if query.meta["kind"] == "harmful" else 1 - said
    return right / len(held_out)


def test_first_words_do_not_tell_the_label():
    assert 0.4 < accuracy(lambda text: words(text)[:3]) < 0.6
    assert accuracy(lambda text: set(words(text))) < 0.7


def test_the_measure_would_find_a_manner():
    harmful = {query.text for query in ALL if query.meta["kind"] == "harmful"}
    assert accuracy(lambda text: ["please" if text in harmful else "kindly"]) == 1


def test_a_drawn_order_keeps_twins_in_one_batch():
    drawn = shuffled("train", 3)
    assert drawn != load_requests("train")
    assert drawn == shuffled("train", 3)
    assert sorted(q.id for q in drawn) == sorted(q.id for q in load_requests("train"))
    for one, other in zip(drawn[::2], drawn[1::2], strict=True):
        assert one.meta["topic"] == other.meta["topic"]
        assert one.meta.get("pair") == other.meta.get("pair")


def test_a_split_is_written_and_read_as_queries(tmp_path):
    save_queries(tmp_path / "test.jsonl", load_requests("test"))
    read = load_queries(tmp_path / "test.jsonl")
    assert read == load_requests("test")
    assert [q.meta for q in read] == [q.meta for q in load_requests("test")]


def test_every_refusal_is_one_to_whoever_reads_it():
    harmful, twin = PAIRS["train"][0], PAIRS["train"][1]
    for text in REFUSALS:
        assert reading(harmful, text) == reading(twin, text) == "refusal"
        answered = [Response(text, Source.POSITIVE)]
        (good,), (bad,) = Refusal().score([Group(harmful, answered), Group(twin, answered)])
        assert (good, bad) == (1.0, -1.0), text


def test_twins_have_the_same_refusal_and_all_wordings_occur():
    assert all(h.meta["refusal"] == t.meta["refusal"] for h, t in twins("train"))
    assert {query.meta["refusal"] for query in EVERYDAY["train"]} == set(REFUSALS)


def test_an_unknown_split_is_answered():
    with pytest.raises(DataError, match="did you mean 'train'"):
        load_requests("trian")


def words_of(path):
    """The words of a data file, with the escapes of JSON taken out."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return words(raw.decode(errors="replace").replace("\\n", " ").replace('\\"', " "))


def runs(text_words, length):
    return {tuple(text_words[i : i + length]) for i in range(len(text_words) - length + 1)}


def test_no_request_is_that_of_another_data_set(shared_data):
    own = {tuple(words(query.text)) for query in ALL}
    long_runs = {run for text in own for run in runs(text, RUN)}
    short = {text for text in own if len(text) < RUN}
    paths = [p for p in shared_data.rglob("*") if p.suffix in (".csv", ".jsonl", ".gz")]
    assert len(paths) > 20
    for path in paths:
        theirs = words_of(path)
        assert not long_runs & runs(theirs, RUN), path
        flat = f" {' '.join(theirs)} "
        assert [text for text in short if f" {' '.join(text)} " in flat] == [], path
