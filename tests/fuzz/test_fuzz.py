"""Hostile input to the loaders, the recipe parser and reward functions.

Every outcome is a result or a three-part error: no traceback, no hang, no partial file.
NEAT_FUZZ sets how many inputs a target gets.
"""

import asyncio
import decimal
import gzip
import io
import json
import random

import numpy as np
import pytest
import torch
import yaml
from tests.fuzz.hostile import INPUTS, damaged, json_bytes, mutated, survives, text, value

from neat_align.data import (
    DataSpec,
    load_groups,
    load_preferences,
    load_queries,
    load_texts,
    save_groups,
)
from neat_align.errors import NeatError
from neat_align.objectives import OBJECTIVES
from neat_align.recipe import check_recipe, load_recipe, recipe_names, recipe_text
from neat_align.scoring import ScorerSet
from neat_align.scoring.functions import RewardFunction
from neat_align.types import Group, Message, Query, Response

TURN = {"role": "user", "content": "how do I clean a lamp?"}
ANSWER = {"role": "assistant", "content": "with a cloth"}
ROWS = (
    {"prompt": "how do I clean a lamp?", "chosen": "with a cloth", "rejected": "break it"},
    {"prompt": [TURN], "chosen": [ANSWER], "rejected": [{**ANSWER, "content": "break it"}]},
    {"messages": [TURN], "conversational": True, "label": 3},
    {"chosen": "\n\nHuman: a?\n\nAssistant: b", "rejected": "\n\nHuman: a?\n\nAssistant: c"},
    {"chosen": [TURN, ANSWER], "rejected": [TURN, {**ANSWER, "content": "no"}]},
    {"text": "plain text"},
)
WORDS = ("prompt", "chosen", "rejected", "messages", "role", "content", "user", "system", "text")


def data_file(rng, folder):
    """Write a file of rows in one of the formats, hostile in its rows or in its bytes."""
    rows = [mutated(rng, rng.choice(ROWS)) for _ in range(rng.randrange(4))]
    if rng.random() < 0.2:
        rows.append(value(rng, WORDS))
    kind = rng.choice((".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz", ".csv.gz"))
    content = _written(kind.removesuffix(".gz"), rows, rng)
    if rng.random() < 0.3:
        content = damaged(rng, content)
    if kind.endswith(".gz"):
        content = gzip.compress(content)
        content = damaged(rng, content) if rng.random() < 0.3 else content
    path = folder / f"rows{kind}"
    path.write_bytes(content)
    return path


def _written(kind, rows, rng):
    if kind == ".jsonl":
        return b"\n".join(map(json_bytes, rows))
    if kind == ".json":
        deep = b"[" * rng.choice((1, 1, 1, 100_000))
        return json_bytes(rows) if rng.random() < 0.9 else deep + json_bytes(rows)
    if kind == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        buffer = io.BytesIO()
        try:
            parquet.write_table(pa.Table.from_pylist(rows), buffer)
        except (pa.ArrowException, AttributeError, OverflowError, TypeError, ValueError):
            return b"PAR1"
        return buffer.getvalue()
    lines = ["prompt,chosen"] + [f'"{text(rng)}",{text(rng)}' for _ in rows]
    return "\n".join(lines).encode(errors="surrogatepass")


def test_loaders(tmp_path):
    found = 0
    for number in range(INPUTS):
        rng = random.Random(f"loaders-{number}")
        path = data_file(rng, tmp_path)
        spec = DataSpec(path, columns={"prompt": "text"} if rng.random() < 0.1 else {})
        for load in (load_queries, load_preferences, load_texts, load_groups):
            with survives((number, load.__name__)):
                load(path if load is load_groups else spec)
                found += 1
        with survives((number, "groups")):
            groups = [Group(q, (_response(rng), _response(rng))) for q in load_queries(spec)]
            _keeps(groups, tmp_path / f"groups{rng.choice(('.jsonl', '.parquet', '.jsonl.gz'))}")
    assert found > INPUTS / 4


def _response(rng):
    return Response(text(rng), rng.choice(("plain", "negative")), text(rng), sampler=text(rng))


def _keeps(groups, path):
    """Check that groups are written whole and come back as they were, or not at all."""
    path.unlink(missing_ok=True)
    try:
        save_groups(path, groups)
    except NeatError:
        assert not path.exists()
        raise
    back = load_groups(path)
    assert [g.query.messages for g in back] == [g.query.messages for g in groups]
    assert _texts(back) == _texts(groups)


def _texts(groups):
    return [r.text for g in groups for r in g.responses]


def test_groups_that_were_damaged(tmp_path):
    answer = Response("a", "plain", score=1.0)
    groups = [Group(Query.from_text(f"q{i}"), (answer,)) for i in range(3)]
    for suffix in (".jsonl", ".parquet", ".jsonl.gz"):
        save_groups(tmp_path / f"good{suffix}", groups)
    for number in range(INPUTS):
        rng = random.Random(f"groups-{number}")
        suffix = rng.choice((".jsonl", ".parquet", ".jsonl.gz"))
        path = tmp_path / f"bad{suffix}"
        content = (tmp_path / f"good{suffix}").read_bytes()
        if suffix == ".jsonl" and rng.random() < 0.7:
            rows = [json.loads(line) for line in content.splitlines()]
            content = b"\n".join(json_bytes(mutated(rng, row)) for row in rows)
        path.write_bytes(damaged(rng, content))
        with survives(number):
            for group in load_groups(path):
                assert isinstance(group.query.text, str)


def test_recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = [yaml.safe_load(recipe_text(name)) for name in recipe_names()]
    names = ["model.path", "train.learning_rate", "sample.positive", "objective.name", "x.y"]
    loaded = 0
    for number in range(INPUTS):
        rng = random.Random(f"recipes-{number}")
        content = mutated(rng, rng.choice(good), 0.01)
        if rng.random() < 0.1:
            content = value(rng, tuple(good[0]))
        raw = yaml.safe_dump(content, allow_unicode=True).encode(errors="surrogatepass")
        path = tmp_path / "recipe.yaml"
        path.write_bytes(damaged(rng, raw) if rng.random() < 0.3 else raw)
        overrides = [f"{rng.choice(names)}={text(rng)}" for _ in range(rng.choice((0, 0, 1)))]
        with survives((number, overrides)):
            recipe = load_recipe(path, overrides)
            loaded += 1
            for problem in check_recipe(recipe):
                with survives(number):
                    raise problem
    assert loaded > INPUTS / 50
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.yaml"]


def answers(rng, count):
    """Make what a reward function may return: nonsense, or numbers of all kinds."""
    number = (1, 2.5, np.float32(3), torch.tensor(1.0), decimal.Decimal("1.5"), None, True, 10**400,
              float("nan"), float("inf"), "7", "x", [1], {}, object(), 1j, -1e308)  # fmt: skip
    scores = [rng.choice(number) for _ in range(rng.choice((count, count, count, 0, 3)))]
    return rng.choice(
        (scores, tuple(scores), iter(scores), (s for s in scores), dict(enumerate(scores)),
         torch.zeros(count), torch.zeros(count, 2), np.ones(count), None, 5, "abc", b"ab")
    )  # fmt: skip


def functions(result):
    return (
        lambda completions, **kwargs: result,
        lambda prompts: result,
        lambda **columns: asyncio.sleep(0, result),
        lambda completions, **kwargs: [1 / 0],
    )


def test_reward_functions(tmp_path):
    kept = 0
    for number in range(INPUTS):
        rng = random.Random(f"rewards-{number}")
        texts = [text(rng).encode(errors="replace").decode() for _ in range(rng.randrange(1, 4))]
        groups = [
            Group(
                Query((Message("user", t + "?"),), {text(rng): value(rng)}, rng.random() < 0.5),
                (Response(t, "plain"), Response(t + "!", "negative")),
            )
            for t in texts
        ]
        function = rng.choice(functions(answers(rng, 2 * len(groups))))
        with survives(number):
            scorers = ScorerSet([RewardFunction(function, "f")], [rng.choice((1.0, 3.0))])
            for group in scorers.score(groups):
                assert all(np.isfinite(s) for s in group.scores)
                kept += 1
    assert kept


def test_objective_arguments():
    """Settings of objectives come from recipes."""
    from neat_align.training.objective_choice import objective_problems

    for number in range(INPUTS // 5):
        rng = random.Random(f"objectives-{number}")
        name = rng.choice((*OBJECTIVES, text(rng)))
        section = {"name": name, rng.choice(("beta", "lm_weight", text(rng))): value(rng)}
        with survives((number, section)):
            for problem in objective_problems(section):
                with survives(number):
                    raise problem


@pytest.mark.nightly
def test_many_more(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "INPUTS", 25_000)
    test_loaders(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    test_recipes(tmp_path, monkeypatch)
    test_reward_functions(tmp_path)
    test_groups_that_were_damaged(tmp_path)
