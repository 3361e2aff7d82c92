"""Steering through turns and answer prefixes: planned, told apart, stored and refused."""

import hashlib
import json

import pytest

from neat_align.data.groups.wide import group_of_wide, wide_row
from neat_align.errors import DataError, InputError, RecipeError, SteeringError
from neat_align.objectives import NEAT
from neat_align.prompts.phrasing import Phrasing
from neat_align.prompts.steering import Steering, saved_steering
from neat_align.provenance.kinds import steering_content
from neat_align.recipe import Recipe
from neat_align.sampling.base import Decoding
from neat_align.sampling.from_data import column_problems
from neat_align.sampling.groups import GroupMaker, plan_group, sample_groups
from neat_align.sampling.job import SamplingJob
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.scripted import ScriptedSampler
from neat_align.sampling.trial import draw_trial, tried_phrasings
from neat_align.storage.identity import identity
from neat_align.training.requirements import context_needs, training_needs
from neat_align.types import Group, Message, Query, Response, Source

SHOWN = {"turns": [{"user": "Hello.", "assistant": "What now."}]}
ALL = Steering(
    "all",
    positive=["Be kind.", {"prefix": "Gladly:"}],
    negative=["Be rude.", SHOWN, {"prefix": "No,"}, {"system": "Snarl.", "prefix": "Bah"}],
)
BARE = Steering("bare", negative=[{"prefix": "No,"}])
TEXTS = Steering("texts", ("Be kind.", "Be good."), ("Be mean.", "Be bad."))
QUERY = Query((Message("system", "You help."), Message("user", "Who?")))


def job(pair, plan=None, **more):
    return SamplingJob("m", pair, plan or GroupPlan(1, 1, 1), Decoding(4), **more)


def test_pairs_that_differ_in_a_channel_alone_have_other_identities():
    other = Steering("bare", negative=[{"prefix": "Yes,"}])
    turned = Steering("bare", negative=[{**SHOWN, "prefix": "No,"}])
    told = [json.dumps(job(pair).identity()) for pair in (BARE, other, turned)]
    assert len(set(told)) == 3
    content = [json.dumps(steering_content(pair)) for pair in (BARE, other, turned)]
    assert len(set(content)) == 3


def test_prompts_alone_have_the_identity_and_the_plan_that_they_always_had():
    found = job(TEXTS, GroupPlan(1, 2, 1)).identity()
    assert found["steering"] == {
        "name": "texts",
        "positive": ("Be kind.", "Be good."),
        "negative": ("Be mean.", "Be bad."),
    }
    assert found["plan"] == {"plain": 1, "positive": 2, "negative": 1}
    assert steering_content(TEXTS) == {
        "positive": ["Be kind.", "Be good."],
        "negative": ["Be mean.", "Be bad."],
        "held_back_positive": [],
        "held_back_negative": [],
    }
    assert "channels" not in json.dumps(Recipe.model_validate(RECIPE).model_dump(mode="json"))
    asked = [
        (r.source, r.steering, r.seed)
        for text in ("one", "two", "three")
        for r in plan_group(Query.from_text(text), TEXTS, GroupPlan(1, 3, 2), 7)
    ]
    assert hashlib.sha256(repr(asked).encode()).hexdigest()[:16] == PLANNED


PLANNED = "0c6833879704f57b"
RECIPE = {
    "model": {"path": "m"},
    "queries": {"path": "q.jsonl"},
    "steering": {"negative": ["Be rude."]},
    "reward": "polarity",
}


def test_channels_are_taken_in_turn_or_as_named_and_meet_all_their_phrasings():
    seen = {
        r.phrasing
        for i in range(40)
        for r in plan_group(Query.from_text(str(i)), ALL, GroupPlan(1, 1, 2), 0)
    }
    assert seen == {*ALL.phrasings("positive"), *ALL.phrasings("negative"), Phrasing()}
    named = GroupPlan(1, 1, 3, ("prefix",), ("turns", "system"))
    channels = [r.phrasing.channel for r in plan_group(QUERY, ALL, named, 0)]
    assert channels == ["prefix", "turns", "system", "turns", ""]


def test_turns_stand_behind_the_system_message_of_the_query():
    shown = Phrasing(turns=(("Hello.", "What now."),)).before(QUERY)
    assert [m.content for m in shown.messages] == ["You help.", "Hello.", "What now.", "Who?"]
    assert [m.role for m in shown.messages] == ["system", "user", "assistant", "user"]


def test_a_pair_is_the_same_when_it_is_read_again(tmp_path):
    ALL.save(tmp_path)
    assert saved_steering(tmp_path) == ALL
    assert Steering(**json.loads(json.dumps(ALL.to_json()))) == ALL
    recipe = Recipe.model_validate(RECIPE).with_pair(ALL)
    assert recipe.pair == ALL
    assert Recipe.model_validate(recipe.model_dump(mode="json")).pair == ALL


def test_responses_are_the_same_when_they_are_read_again():
    steered = Response(
        "No, not now.", Source.NEGATIVE, "Snarl.", "stop", turns=(("a", "b"),), prefix="No,"
    )
    group = Group(QUERY, (steered, Response("Yes.", Source.PLAIN)))
    assert group_of_wide(wide_row(group)) == group
    assert [Response.from_json(r.to_json()) for r in group.responses] == list(group.responses)
    old = wide_row(group)
    for candidate in old["candidates"]:
        del candidate["turns"], candidate["prefix"]
    assert group_of_wide(old).responses[1] == group.responses[1]
    scored = Group(QUERY, (steered.with_scores({}, 0.0), group.responses[1].with_scores({}, 1.0)))
    row = wide_row(scored)
    assert row["steering_rejected"] == "Snarl. [a → b] [answer begins: No,]"
    assert "turns" not in Response("x", Source.PLAIN).to_json()


def test_parquet_keeps_the_channels(tmp_path):
    import io

    from pyarrow import parquet

    from neat_align.data.groups.wide import wide_bytes

    steered = Response("No, not now.", Source.NEGATIVE, turns=(("a", "b"),), prefix="No,")
    group = Group(QUERY, (steered, Response("Yes.", Source.PLAIN)))
    (row,) = parquet.read_table(io.BytesIO(wide_bytes([group]))).to_pylist()
    assert group_of_wide(row) == group


@pytest.mark.parametrize(
    ("channels", "why"),
    [((("tone",), ()), "no such channel"), (((), ("system", "prefix")), "never be used")],
)
def test_channels_that_cannot_be_are_refused(channels, why):
    with pytest.raises(RecipeError, match=why):
        GroupPlan(1, 1, 1, *channels)


def test_a_channel_that_the_pair_lacks_is_told_before_a_model_is_loaded():
    plan = GroupPlan(1, 1, 1, ("turns",), ())
    assert "no positive phrasing of that channel" in str(plan.check_channels(ALL)[0])
    assert any("turns" in str(problem) for problem in job(ALL, plan).problems())
    recipe = Recipe.model_validate(
        {**RECIPE, "sample": {"negative_channels": ["prefix"]}, "objective": {"name": "neat"}}
    )
    from neat_align.workflow.recipe_settings import needs, training_arguments

    assert any("prefix" in str(problem) for problem in needs(recipe))
    unknown = Recipe.model_validate({**RECIPE, "sample": {"negative_channels": ["tone"]}})
    assert any("no such channel" in str(problem) for problem in needs(unknown))
    made = training_arguments(recipe, "out")
    assert made.plan.negative_channels == ("prefix",)


def test_a_pair_without_a_negative_prompt_cannot_stand_before_queries():
    (problem,) = context_needs(0.5, BARE)
    assert "only phrasings of other channels" in str(problem)
    assert context_needs(0.0, BARE) == context_needs(0.5, ALL) == []
    own = NEAT()
    from neat_align.training.config import NEATConfig

    args = NEATConfig(output_dir="unused", report_to=[])
    found = training_needs(own, args, own.suggested_negative_context, BARE, [QUERY], True)
    told = [str(p) for p in found if "negative_context" in str(p)]
    assert bool(told) == bool(own.suggested_negative_context)


def test_a_phrasing_on_both_sides_or_of_another_form_is_refused():
    with pytest.raises(SteeringError, match="asked for and forbidden"):
        Steering("x", positive=[{"prefix": "No,"}], negative=[{"prefix": "No,"}])
    for wrong in ({"prefix": 3}, {"prefx": "No,"}, {"turns": [{"user": "a"}]}, {"prefix": " "}):
        with pytest.raises(InputError):
            Steering("x", negative=[wrong])


def test_a_server_is_asked_to_go_on_only_where_it_is_said_to():
    (problem,) = job(BARE, server="http://localhost:1/v1").problems()
    assert "--continues-turns" in problem.fix
    assert job(BARE, server="http://localhost:1/v1", continues_turns=True).problems() == []
    unused = GroupPlan(1, 1, 1, (), ("system",))
    positive = Steering("p", ("Be kind.",), ("Be rude.", {"prefix": "No,"}))
    assert job(positive, unused, server="http://localhost:1/v1").problems() == []
    assert any("--continues-turns" in str(p) for p in job(TEXTS, continues_turns=True).problems())
    assert identity(job(BARE).identity(), {})


TAKEN = Steering("taken", [{"column": "chosen"}, "Be kind."], [{"column": "rejected"}])
ROW = Query.from_text("Who?", chosen="A friend.", rejected="Go away.", mean=3)


def groups_of(pair, query, plan):
    return sample_groups(
        ScriptedSampler(lambda request: "drawn"), [query], pair, plan, Decoding(4), 0
    )


def test_a_columns_answer_is_taken_and_keeps_where_it_is_from():
    (group,) = groups_of(TAKEN, ROW, GroupPlan(1, 2, 1))
    told = [(r.source, r.text, r.column, r.sampler, r.seed is None) for r in group.responses]
    assert sorted(told) == [
        ("negative", "Go away.", "rejected", "data", True),
        ("plain", "drawn", "", "scripted", False),
        ("positive", "A friend.", "chosen", "data", True),
        ("positive", "drawn", "", "scripted", False),
    ]
    assert all(r.token_ids is None for r in group.responses if r.column)
    assert Group.from_json(group.to_json()) == group
    assert "column" not in json.dumps(group.responses[-1].to_json())
    scored = Group(
        group.query, tuple(r.with_scores({}, float(i)) for i, r in enumerate(group.responses))
    )
    again = group_of_wide(wide_row(scored))
    assert [r.column for r in again.responses] == [r.column for r in scored.responses]
    assert str(Phrasing(column="rejected")) == "[the data's rejected]"


def test_the_trial_shows_a_column_beside_what_is_drawn():
    maker = GroupMaker(ScriptedSampler(lambda r: "drawn"), TAKEN, GroupPlan(1, 2, 1), Decoding(4))
    (group,) = draw_trial(maker, [ROW], tried_phrasings(TAKEN, maker.plan), 0)
    assert {r.text for r in group.responses if r.column} == {"A friend.", "Go away."}
    assert {r.text for r in group.responses if not r.column} == {"drawn"}


@pytest.mark.parametrize("row", [{}, {"rejected": "  "}, {"rejected": 3}])
def test_a_query_without_its_answer_is_named_before_anything_is_drawn(row):
    query = Query.from_text("Where?", chosen="Here.", **row)
    asked = [one for _, one in GroupPlan(1, 1, 1).phrasings(TAKEN)]
    (problem,) = column_problems([ROW, query], asked)
    assert "'Where?'" in problem.given
    assert "'rejected'" in problem.given
    assert "chosen" in problem.why
    assert not column_problems([query], [Phrasing("Be kind.")])
    with pytest.raises(DataError, match="without an answer"):
        groups_of(TAKEN, query, GroupPlan(1, 1, 1))


@pytest.mark.parametrize(
    ("plan", "refused"),
    [
        (GroupPlan(1, 1, 1), False),
        (GroupPlan(1, 2, 1), False),
        (GroupPlan(1, 1, 2), True),
        (GroupPlan(1, 3, 1), True),
        (GroupPlan(1, 3, 1, ("column", "system", "system")), False),
    ],
)
def test_no_answer_of_the_data_stands_in_a_group_twice(plan, refused):
    problems = plan.check_channels(TAKEN)
    assert bool(problems) == refused
    assert all("twice" in problem.why for problem in problems)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"column": "rejected", "system": "Be mean."}, "taken as it stands"),
        ({"column": 3}, "no text"),
        ({"model": "other", "system": "Be kind."}, "let that model answer"),
        ({"answers": "a.jsonl"}, "column of the queries"),
    ],
)
def test_what_is_no_column_is_told(value, told):
    with pytest.raises(SteeringError, match=told):
        Steering("own", negative=[value])
