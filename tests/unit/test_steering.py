"""Steering pairs: the built-in ones and a user's own."""

import json

import pytest

from neat_align.errors import SeveralErrors, SteeringError
from neat_align.prompts.steering import Steering, steering_names

NAMES = ["harmless", "unbiased", "helpful", "honest", "polite", "private", "world"]


def test_the_built_in_pairs():
    assert steering_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_pair_has_enough_phrasings_on_each_side(name):
    pair = Steering.named(name)
    assert pair.name == name
    assert pair.version >= 1
    assert pair.about
    for side in (pair.positive, pair.negative):
        assert len(set(side)) == len(side) >= 4
    for side in (pair.held_back_positive, pair.held_back_negative):
        assert len(set(side)) == len(side) >= 2


def test_no_held_back_phrasing_is_used_by_any_pair():
    pairs = [Steering.named(name) for name in NAMES]
    used = {text.casefold() for p in pairs for text in (*p.positive, *p.negative)}
    held_back = [t for p in pairs for t in (*p.held_back_positive, *p.held_back_negative)]
    assert not used & {text.casefold() for text in held_back}
    assert len(set(held_back)) == len(held_back)


@pytest.mark.parametrize(
    ("given", "hint"),
    [("harmles", "did you mean 'harmless'"), ("Never be rude to anyone.", "use one of: harmless")],
)
def test_an_unknown_name_or_a_bare_sentence_is_refused(given, hint):
    with pytest.raises(SteeringError, match=hint) as caught:
        Steering.from_value(given)
    assert "{negative: [your own sentence]}" in caught.value.fix


def test_a_negative_prompt_alone_is_enough():
    pair = Steering.from_value({"negative": " Be rude. "})
    assert (pair.positive, pair.negative) == ((), ("Be rude.",))


def test_own_texts_by_mapping():
    pair = Steering.from_value(
        {
            "name": "calm",
            "version": 2,
            "positive": ["Be calm."],
            "negative": ["Shout.", "Rage."],
            "held_back": {"negative": "Panic."},
        }
    )
    assert pair == Steering("calm", ("Be calm.",), ("Shout.", "Rage."), (), ("Panic.",), 2)


def test_own_texts_in_python_as_text_or_list():
    pair = Steering("own", positive=["Be calm."], negative="Shout.")
    assert (pair.positive, pair.negative) == (("Be calm.",), ("Shout.",))
    assert hash(pair) == hash(Steering("own", ("Be calm.",), ("Shout.",)))
    assert Steering.from_value(pair) is pair


def test_a_name_alone_in_a_mapping_is_as_good_as_the_name(tmp_path):
    assert Steering.from_value({"name": "polite"}) == Steering.named("polite")
    path = tmp_path / "calm.yaml"
    path.write_text("negative: Shout.")
    assert Steering.from_value({"name": str(path)}) == Steering("calm", (), ("Shout.",))
    with pytest.raises(SteeringError, match="did you mean 'polite'"):
        Steering.from_value({"name": "Polite"})


def test_what_a_python_user_tries_first(tmp_path):
    assert Steering(negative="Shout.").name == "own"
    with pytest.raises(SteeringError, match=r"Steering\.named\('polite'\)"):
        Steering("polite")
    path = tmp_path / "mine.txt"
    path.write_text("negative: Shout.")
    assert Steering.from_value(path).negative == ("Shout.",)
    for value in (["Shout."], ("Be calm.", "Shout."), 3, None, Steering):
        with pytest.raises(SteeringError, match="does not say which") as caught:
            Steering.from_value(value)
        assert "harmless" in caught.value.fix
        assert "{negative: [your own sentence]}" in caught.value.fix


@pytest.mark.parametrize("as_text", [str, lambda path: path])
@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_own_texts_from_a_file(tmp_path, suffix, as_text):
    path = tmp_path / f"calm{suffix}"
    path.write_text(json.dumps({"positive": "Be calm, s'il vous plaît.", "negative": ["Shout."]}))
    pair = Steering.from_value(as_text(path))
    assert pair == Steering("calm", ("Be calm, s'il vous plaît.",), ("Shout.",))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"positive": "Be calm."}, "no negative prompt"),
        ({"negative": []}, "no negative prompt"),
        ({"negative": [" "]}, "one of its prompts is empty"),
        ({"negative": "Shout.", "positve": "x"}, "did you mean 'positive'"),
        ({"negative": "Shout.", "held_back": {"negativ": "x"}}, "did you mean 'negative'"),
        ({"negative": "Shout.", "held_back": ["x"]}, "does not say for which side"),
        ({"negative": 3}, "neither a text nor a list"),
        ({"negative": ["Shout.", 3]}, "neither a text nor a list"),
        ({"negative": "Shout.", "version": "two"}, "no whole number"),
        ({"negative": "Shout.", "positive": "Shout."}, "asked for and forbidden"),
        ({"negative": "Shout.", "held_back": {"negative": "Shout."}}, "measures nothing"),
        ({"name": "harmless", "negative": "Shout."}, "name of a pair with other texts"),
        ({"name": "calm.yaml", "negative": "Shout."}, "name of a pair with other texts"),
        (None, "NoneType is neither"),
        (["Shout."], "list is neither"),
    ],
)
def test_values_that_are_no_steering_pair(value, why):
    with pytest.raises(SteeringError, match=why):
        Steering.from_value(value)


def test_all_unknown_keys_are_told_at_once():
    with pytest.raises(SeveralErrors) as caught:
        Steering.from_value({"negativ": "a", "positiv": "b", 3: "c"})
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (b"negative: [", "not readable as YAML"),
        (b"- Shout.", "holds no mapping"),
        (b"", "holds no mapping"),
        (b"negative: \xff", "not readable"),
    ],
)
def test_files_that_hold_no_steering_pair(tmp_path, content, why):
    path = tmp_path / "own.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SteeringError, match=why) as caught:
        Steering.from_value(path)
    assert str(path) in caught.value.given
