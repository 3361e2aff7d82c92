"""Keys are shown nowhere, in no form; broken surroundings are told before anything is asked."""

# ruff: noqa: F811 (the fixture `stub` is imported)

import base64
import json
import traceback
import urllib.parse

import pytest
from tests.unit.test_server_sampler import QUERIES, client, draw, stub  # noqa: F401

from neat_align.errors import InputError, NeatError, RecipeError, ServerError
from neat_align.sampling.plan import GroupPlan
from neat_align.servers.client import ChatClient
from neat_align.servers.secrets import strike
from neat_align.types import Message

KEY = "sk-Very/Secret+key=0123"
TURN = [Message("user", "q")]


def everything(error):
    """All that a traceback would show, causes and contexts too."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def parts(key):
    return [key[i : i + 6] for i in range(len(key) - 5)]


FORMS = [
    KEY,
    json.dumps(KEY)[1:-1],
    urllib.parse.quote(KEY, safe=""),
    base64.b64encode(KEY.encode()).decode(),
    base64.urlsafe_b64encode(KEY.encode()).decode(),
    base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    base64.b64encode(f"user:{KEY}".encode()).decode(),
    KEY.encode().hex(),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_comes_back_is_struck_out(stub, monkeypatch, status, form):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub.whole = lambda body: (status, {}, b"x" * 290 + form.encode() + b" was your key")
    with pytest.raises(ServerError) as caught:
        client(stub, attempts=1).ask(TURN, 1, {})
    shown = everything(caught.value)
    assert form not in shown
    assert not any(part in shown for part in parts(form)[8 * (form == FORMS[6]) : -8])


def test_a_key_in_an_answer_is_neither_kept_nor_said(stub, monkeypatch, steering, tmp_path, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub.reply = lambda body: f"your key is {KEY}, or {FORMS[3]}"
    journal = tmp_path / "j.jsonl"
    groups = draw(stub, QUERIES[:2], GroupPlan(2, 0, 0), journal, steering)
    assert groups[0].responses[0].text == "your key is ***, or ***"
    assert "***" in journal.read_text()
    for text in (journal.read_text(), str(groups), caplog.text, repr(client(stub))):
        assert not any(form in text for form in FORMS)


def test_an_answer_with_the_key_in_escapes(stub, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)
    body = '{"choices": [{"message": {"content": "K"}, "finish_reason": "stop"}]}'
    stub.whole = lambda _: (200, {}, body.replace("K", escaped).encode())
    assert client(stub).ask(TURN, 1, {})[0].text == "***"


@pytest.mark.parametrize("word", ["EMPTY", "none", "x"])
def test_a_stand_in_for_a_key_is_an_ordinary_word(stub, monkeypatch, word):
    monkeypatch.setenv("OPENAI_API_KEY", word)
    stub.reply = lambda body: f"the box is {word}"
    assert client(stub).ask(TURN, 1, {})[0].text == f"the box is {word}"


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {} ", "\t{}", "\ufeff{}"[1:]])
def test_blanks_around_a_key_are_no_part_of_it(stub, monkeypatch, around):
    monkeypatch.setenv("OPENAI_API_KEY", around.format(KEY))
    client(stub).ask(TURN, 1, {})
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_key_is_none(stub, monkeypatch, empty):
    monkeypatch.setenv("OPENAI_API_KEY", empty)
    client(stub).ask(TURN, 1, {})
    assert "Authorization" not in stub.headers[0]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("sk-secret\nsk-second", "a line end"),
        ("sk-secret second", "a blank"),
        ("sk-sécret", "beyond ASCII"),
        ("sk-se\x07cret", "control"),
        ("“sk-secret”", "beyond ASCII"),
        ("sk-secret\r\nX-Header: 1", "a line end"),
    ],
)
def test_a_key_that_no_header_can_carry_is_told_before_anything_is_asked(monkeypatch, key, why):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(RecipeError, match="OPENAI_API_KEY") as caught:
        ChatClient("http://127.0.0.1:9/v1", "m")
    shown = everything(caught.value)
    assert why in shown
    assert "secret" not in shown
    assert "cret" not in shown


def test_a_key_that_breaks_while_asking_is_told_in_the_same_way(stub, monkeypatch):
    asking = client(stub)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-se\ncret")
    with pytest.raises(NeatError) as caught:
        asking.ask(TURN, 1, {})
    assert "cret" not in everything(caught.value).replace("OPENAI_API_KEY", "")


def test_a_key_in_the_place_of_its_variable_is_not_shown():
    for key in ("sk-proj-0a1b2c3d4e5f6g7h8i", "gsk_0a1b2c3d4e5f6g7h8i9j", "hf_aAbBcCdDeEfFgGhHiI"):
        with pytest.raises(RecipeError, match="key_variable") as caught:
            ChatClient("http://a/v1", "m", key)
        assert key[-6:] not in everything(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:p4ss@a/v1", "http://p4ss@a/v1", "http://u:p4ss@a:port/v1", "http://a/v1?key=p4ss",
        "http://a/v1#p4ss", "http://u:p4ss@[::1/v1", "ftp://u:p4ss@a/v1", "u:p4ss@a:80/v1",
        "http://a/v1?api-version=1&sig=p4ss", "http://u:p4ss@/v1", "http://u:p4ss\x00@a/v1",
    ],
)  # fmt: skip
def test_what_may_be_secret_in_an_address_is_not_shown(url):
    with pytest.raises(InputError) as caught:
        ChatClient(url, "m")
    assert "p4ss" not in everything(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HTTP_PROXY", "ht!tp://p4ss", "no proxy that can be used"),
        ("HTTPS_PROXY", "http://u:p4ss@h:port", "no proxy that can be used"),
        ("all_proxy", "ftp://u:p4ss@h:1", "no proxy that can be used"),
        ("ALL_PROXY", "socks5://u:p4ss@h:1", "SOCKS"),
        ("NO_PROXY", "http://p4ss:b:c", "no proxy that can be used"),
        ("SSL_CERT_FILE", "/no/such/p4ss.pem", "there is no such file"),
        ("SSL_CERT_DIR", "/no/such/p4ss", "there is no such file"),
        ("SSL_CERT_FILE", __file__, "no certificate"),
    ],
)
def test_broken_surroundings_are_named_and_their_values_are_not(monkeypatch, name, value, told):
    monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError) as caught:
        ChatClient("http://127.0.0.1:9/v1", "m")
    shown = everything(caught.value)
    assert name in str(caught.value)
    assert told in str(caught.value)
    assert "p4ss" not in shown
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_proxy_that_is_away_is_named(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://u:p4ss@127.0.0.1:9")
    with pytest.raises(ServerError, match="through the proxy of") as caught:
        ChatClient("http://example.invalid/v1", "m", attempts=1).ask(TURN, 1, {})
    assert "p4ss" not in everything(caught.value)


def test_striking_leaves_other_text_alone(monkeypatch):
    monkeypatch.setenv("K", KEY)
    text = "a perfectly ordinary answer of a server, with base64: aGVsbG8gd29ybGQ="
    assert strike(text, "K") == text
    monkeypatch.delenv("K")
    assert strike(text, "K") == text
