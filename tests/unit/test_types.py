"""The records that travel between the stages."""

import json
import pickle
from dataclasses import replace

import pytest

from neat_align.errors import DataError, RecipeError, SeveralErrors
from neat_align.types import Group, Message, Query, Response, Source, content_id

QUERY = Query((Message("user", "Hé?"),), {"kind": "benign"})
RESPONSE = Response("yes", Source.NEGATIVE, "Be mean.", "length", seed=3, token_ids=(1, 2))


def test_the_id_is_of_the_content_alone():
    same = Query((Message("user", "Hé?"),), {"kind": "other"}, conversational=False)
    assert QUERY.id == same.id == content_id(QUERY.messages)
    others = [
        Query((Message("user", "He?"),)),
        Query((Message("system", "Hé?"),)),
        Query((Message("user", "Hé?"), Message("user", ""))),
    ]
    assert len({QUERY.id, *(q.id for q in others)}) == 4


def test_the_id_is_the_same_in_every_process():
    assert Query.from_text("What is a lamp?").id == "20060edd3d981c3d"


@pytest.mark.parametrize("messages", [(), (Message("user", ""),), (Message("user", " \n"),)])
def test_a_query_needs_text(messages):
    with pytest.raises(DataError, match="query without text"):
        Query(messages)


def test_a_query_of_text():
    query = Query.from_text("Hi", kind="benign")
    assert query.text == "Hi"
    assert query.meta == {"kind": "benign"}
    assert not query.conversational


@pytest.mark.parametrize("source", list(Source))
def test_json_and_back(source):
    scored = replace(RESPONSE, source=source).with_scores({"a": 1.5, "b": None}, 1.5)
    group = Group(QUERY, (scored, replace(scored, token_ids=None, seed=None)))
    assert Group.from_json(json.loads(json.dumps(group.to_json()))) == group
    assert json.loads(json.dumps(group.to_json()))["responses"][0]["source"] == source.value


def test_scoring_makes_a_new_response():
    scores = {"a": 1.0}
    scored = RESPONSE.with_scores(scores, 1.0)
    scores["a"] = 2.0
    assert (RESPONSE.score, RESPONSE.scores) == (None, {})
    assert (scored.score, scored.scores) == (1.0, {"a": 1.0})


def test_an_unknown_source_is_no_response():
    with pytest.raises(ValueError, match="not a valid Source"):
        Response.from_json({"text": "yes", "source": "guess"})


def test_a_group_has_responses():
    with pytest.raises(DataError, match="without responses"):
        Group(QUERY, ())


def test_a_group_is_scored_as_a_whole_or_not_at_all():
    scored = RESPONSE.with_scores({}, 0.0)
    with pytest.raises(DataError, match="1 of 2 responses are scored"):
        Group(QUERY, (scored, RESPONSE))
    assert Group(QUERY, (scored, scored)).scores == [0.0, 0.0]
    assert Group(QUERY, (scored,)).is_scored


def test_unscored_groups_have_no_scores():
    group = Group(QUERY, (RESPONSE,))
    assert not group.is_scored
    with pytest.raises(DataError, match="unscored group"):
        _ = group.scores


def test_errors_travel_between_processes():
    one, other = DataError("a", "b", "c"), RecipeError("d", "e", "f")
    for error in (one, SeveralErrors([one, other])):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))
