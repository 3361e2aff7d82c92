"""One row of a data set, in every format that is understood."""

import pytest

from neat_align.data.format import Diverging, NoPreference
from neat_align.data.reading import preference_of, query_of
from neat_align.data.transcripts import parse_transcript, split_transcript
from neat_align.errors import DataError
from neat_align.types import Message

HEAD = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How are you?"
USER = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}
REPLY = {"role": "assistant", "content": "Go away"}


def transcripts(chosen="Fine.", rejected="Go away.", head=HEAD, other=HEAD):
    return {
        "chosen": f"{head}\n\nAssistant: {chosen}",
        "rejected": f"{other}\n\nAssistant: {rejected}",
    }


def roles(query):
    return [m.role for m in query.messages]


def test_a_plain_prompt_with_its_other_columns():
    query = query_of({"prompt": "What is a lamp?", "kind": "benign"})
    assert query.messages == (Message("user", "What is a lamp?"),)
    assert query.meta == {"kind": "benign"}
    assert not query.conversational


@pytest.mark.parametrize("column", ["prompt", "messages"])
def test_a_conversational_prompt(column):
    query = query_of({column: [{"role": "system", "content": "Be brief."}, USER]})
    assert roles(query) == ["system", "user"]
    assert query.conversational
    assert query.meta == {}


def test_a_preference_of_plain_texts():
    pair = preference_of({"prompt": "Hi", "chosen": "Hello", "rejected": "Go away", "n": 3})
    assert (pair.query.text, pair.chosen, pair.rejected) == ("Hi", "Hello", "Go away")
    assert pair.query.meta["n"] == 3


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [REPLY]},
        {"prompt": [USER], "chosen": "Hello", "rejected": "Go away"},
        {"prompt": "Hi", "chosen": [USER, ANSWER], "rejected": [USER, REPLY]},
        {"chosen": [USER, ANSWER], "rejected": [USER, REPLY]},
    ],
    ids=["explicit prompt", "mixed", "prompt repeated", "implicit prompt"],
)
def test_a_preference_of_conversations(row):
    pair = preference_of(row)
    assert pair.query.messages == (Message("user", "Hi"),)
    assert (pair.chosen, pair.rejected) == ("Hello", "Go away")


def test_transcripts_become_turns_with_roles():
    pair = preference_of(transcripts())
    assert pair.query.messages == (
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "How are you?"),
    )
    assert (pair.chosen, pair.rejected) == ("Fine.", "Go away.")


def test_words_that_both_answers_begin_with_stay_in_the_answers():
    pair = preference_of(transcripts("I am fine.", "I am angry."))
    assert (pair.chosen, pair.rejected) == ("I am fine.", "I am angry.")


def test_the_split_is_at_the_last_assistant():
    head, answer = split_transcript(f"{HEAD}\n\nAssistant: first\n\nAssistant: last")
    assert head == f"{HEAD}\n\nAssistant: first"
    assert answer == "last"


def test_a_transcript_as_prompt():
    query = query_of({"prompt": HEAD + "\n\nAssistant:"})
    assert roles(query) == ["user", "assistant", "user"]
    assert query == query_of({"prompt": HEAD})


def test_a_speaker_named_within_a_line_starts_no_turn():
    turns = parse_transcript("\n\nHuman: What does Assistant: mean?\nHuman: this line too")
    assert [m.content for m in turns] == ["What does Assistant: mean?\nHuman: this line too"]


@pytest.mark.parametrize(
    "row",
    [
        transcripts(other="\n\nHuman: Something else"),
        {"chosen": [USER, ANSWER], "rejected": [{**USER, "content": "Ho"}, REPLY]},
    ],
)
def test_diverging_conversations_are_told_apart_from_errors(row):
    with pytest.raises(Diverging) as caught:
        preference_of(row)
    assert caught.value.reason == "diverging conversations"


@pytest.mark.parametrize(
    ("row", "reason"),
    [(transcripts("Yes", "Yes"), "equal answers"), (transcripts(" "), "an empty answer")],
)
def test_rows_that_prefer_nothing(row, reason):
    with pytest.raises(NoPreference) as caught:
        preference_of(row)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"text": "Hi"}, "it has no query"),
        ({"prompt": "", "kind": "x"}, "its prompt is empty"),
        ({"prompt": "  "}, "nothing to answer"),
        ({"prompt": [USER, ANSWER]}, "a prompt without an answer"),
        ({"prompt": [{"role": "system", "content": "Be kind."}]}, "a prompt without an answer"),
        ({"prompt": 3}, "not int"),
        ({"prompt": ["Hi"]}, "role and content"),
        ({"prompt": [{"from": "human", "value": "Hi"}]}, "role and content"),
        ({"prompt": [{"role": "user", "content": None}]}, "not text"),
        ({"prompt": [{"role": "usr", "content": "Hi"}]}, "did you mean 'user'"),
        ({"prompt": "Hi", "chosen": 1.5}, "an answer is a text"),
        ({"prompt": "Hi", "chosen": [USER]}, "assistant's last turn"),
        ({"chosen": HEAD}, "last turn is not the assistant's"),
        ({"chosen": "\n\nHuman: Hi"}, "last turn is not the assistant's"),
    ],
)
def test_rows_without_a_usable_query(row, why):
    with pytest.raises(DataError, match=why) as caught:
        query_of(row)
    assert not isinstance(caught.value, NoPreference)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "Hi"}, "chosen and rejected is absent"),
        ({"prompt": "Hi", "chosen": "Hello"}, "rejected is absent"),
        ({"chosen": "Hello", "rejected": "Go"}, "it has no query"),
    ],
)
def test_a_row_that_is_no_preference_is_an_error_and_is_not_dropped(row, why):
    with pytest.raises(DataError, match=why) as caught:
        preference_of(row)
    assert not isinstance(caught.value, NoPreference)
