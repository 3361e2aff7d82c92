"""Servers that do not take all of a question: asked in another form, once, which is said."""

# ruff: noqa: F811 (the fixture `stub` is imported)

import email.utils
import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.test_server_sampler import QUERIES, client, draw, stub  # noqa: F401

from neat_align.errors import ServerError, UnansweredError
from neat_align.sampling.plan import GroupPlan
from neat_align.servers.client import ChatClient
from neat_align.servers.dialect import Form, what_it_says
from neat_align.servers.transport import Reply
from neat_align.types import Message

ASKED = {"max_tokens": 9, "temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0,
         "repetition_penalty": 1.0, "seed": 3, "stop": ["END"]}  # fmt: skip
TURNS = [Message("system", "Be kind."), Message("user", "q")]


def said(message, **more):
    return json.dumps({"error": {"message": message, **more}})


def pydantic(*names, kind="extra_forbidden", msg="Extra inputs are not permitted"):
    """Write a refusal as FastAPI does, with the whole body in it."""
    body = Form().body("m", TURNS, 3, ASKED)
    return json.dumps(
        {"detail": [{"type": kind, "loc": ["body", *names], "msg": msg, "input": body}]}
    )


REFUSALS = [
    # the system role
    ("System role not supported", "system", False),
    (said("Jinja Exception: System role not supported"), "system", False),
    (said("Conversation roles must alternate user/assistant/user/assistant/..."), "system", False),
    (said("'messages[0].role' does not support 'system' with this model.",
          param="messages[0].role"), "system", False),
    (said("Unsupported role: system"), "system", False),
    (pydantic("messages", 0, "role", kind="literal_error",
              msg="Input should be 'user' or 'assistant'"), "system", False),
    # several answers
    (said("Only one completion choice is allowed"), "n", False),
    (said("Invalid value: 'n' must be 1"), "n", False),
    (said("Unsupported parameter", param="n"), "n", False),
    (said("Multiple candidates is not enabled for this model"), "n", False),
    (pydantic("n"), "n", False),
    # the bound on tokens
    (said("Unsupported parameter: 'max_tokens' is not supported with this model. "
          "Use 'max_completion_tokens' instead.", param="max_tokens"),
     "limit", "max_completion_tokens"),
    (pydantic("max_tokens"), "limit", "max_completion_tokens"),
    # other fields
    (said("Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
          "default (1) value is supported.", param="temperature"), "without", {"temperature"}),
    (said("Unrecognized request argument supplied: top_k"), "top_k_off", 0),
    (said("top_k must be at least 0"), "top_k_off", 0),
    (said("Unrecognized request arguments supplied: min_p, repetition_penalty"),
     "without", {"min_p", "repetition_penalty"}),
    (said("Unrecognized request arguments supplied: min_p, repetition_penalty, top_k"),
     "without", {"min_p", "repetition_penalty", "top_k"}),
    (json.dumps({"error": 'json: unknown field "min_p"'}), "without", {"min_p"}),
    (json.dumps({"object": "error", "message": "Additional properties are not allowed: 'seed'"}),
     "without", {"seed"}),
    (said("`top_p` must be > 0.0 and < 1.0"), "without", {"top_p"}),
    (pydantic("min_p"), "without", {"min_p"}),
    (said("Unknown field min_p. Allowed fields are: model, n, temperature, top_p, max_tokens"),
     "without", {"min_p"}),
    (said("The following parameters are not supported: min_p, seed"), "without", {"min_p", "seed"}),
    ("stop is not supported by this model", "without", {"stop"}),
]  # fmt: skip
KEPT = [
    said("This model's maximum context length is 4096 tokens. However, you requested 5000."),
    said("'max_tokens' or 'max_completion_tokens' is too large: 128. This model's maximum context "
         "length is 99 tokens", param="max_tokens"),
    said("temperature must be between 0 and 2", param="temperature"),
    said("max_tokens must be less than 8192", param="max_tokens"),
    said("The model is overloaded"),
    said("Your prompt was flagged by the content filter"),
    "",
    "the system is down",
    "{",
    json.dumps([1, {"error": {"message": None}}]),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "part", "value"), REFUSALS)
def test_refusals_as_servers_write_them(refusal, part, value):
    form = Form()
    sent = form.body("m", TURNS, 3, ASKED)
    found, told = form.adapted(refusal.encode(), sent)
    assert getattr(found, part) == value
    assert told
    unchanged = {f for f in Form.__dataclass_fields__ if f != part}
    assert all(getattr(found, f) == getattr(form, f) for f in unchanged)


@pytest.mark.parametrize("refusal", KEPT)
def test_refusals_that_another_form_would_not_mend(refusal):
    form = Form()
    assert form.adapted(refusal.encode(), form.body("m", TURNS, 3, ASKED)) is None


def test_a_form_is_changed_by_what_was_sent_alone():
    form, plain = Form(), [Message("user", "q")]
    for refusal in (said("System role not supported"), said("Unsupported parameter", param="n")):
        assert form.adapted(refusal.encode(), form.body("m", plain, 1, ASKED)) is None
    own = form.body("m", plain, 1, {**ASKED, "min_p": 0.1})
    assert form.adapted(said("Unknown field min_p").encode(), own, frozenset({"min_p"})) is None
    assert form.adapted(said("min_p must be below 0.05").encode(), own) is None


def test_what_a_server_repeats_of_the_request_is_no_refusal_of_it():
    words, names = what_it_says(pydantic("min_p").encode())
    assert "temperature" not in words
    assert names == {"body", "min_p"}


def accepts(*refused):
    """Start a server that refuses these, one after the other, by name."""

    def whole(body):
        for test, text in refused:
            if test(body):
                return 400, {"Content-Type": "application/json"}, text.encode()
        return None

    return whole


def test_what_an_old_reasoning_model_refuses_is_asked_otherwise_and_remembered(
    stub,
    steering,
    caplog,
):
    stub.whole = accepts(
        (lambda b: "max_tokens" in b,
         said("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")),
        (lambda b: b.get("temperature", 1) != 1,
         said("Unsupported value: 'temperature' does not support 0.7", param="temperature")),
        (lambda b: {"top_k", "min_p", "repetition_penalty"} & b.keys(),
         said("Unrecognized request arguments supplied: top_k, min_p, repetition_penalty")),
        (lambda b: "stop" in b, said("Unsupported parameter: 'stop'", param="stop")),
        (lambda b: b["messages"][0]["role"] == "system",
         said("'messages[0].role' does not support 'system' with this model.")),
        (lambda b: "n" in b, said("Unsupported parameter: 'n'", param="n")),
    )  # fmt: skip
    groups = draw(stub, QUERIES, GroupPlan(2, 1, 1), steering=steering)
    assert [len(g.responses) for g in groups] == [4] * 6
    assert len(stub.bodies) < 6 * 4 + 7 * 3  # at most each of three open questions learns
    last = stub.bodies[-1]
    assert set(last) == {"model", "messages", "max_completion_tokens", "top_p", "seed"}
    steered = [b for b in stub.bodies if b["messages"][0]["content"].startswith("Be ")]
    good = [b for b in steered if b["messages"][0]["role"] == "user"]
    assert len(good) == 12
    assert all(b["messages"][0]["content"].partition("\n\n")[2].startswith("query") for b in good)
    samplers = {r.sampler for g in groups for r in g.responses}
    whole = "m (without min_p, repetition_penalty, stop, temperature, top_k; no system role)"
    assert whole in samplers
    assert all(name.startswith("m (without") for name in samplers)
    for words in ("max_completion_tokens instead", "no temperature", "first user turn", "per q"):
        assert caplog.text.count(words) == 1


@pytest.mark.parametrize("turned_off", [-1, 0, None])
def test_top_k_is_off_as_the_server_understands_it(stub, turned_off):
    stub.whole = accepts(
        (lambda b: b.get("top_k") != turned_off, said("top_k must be at least 1, or off")),
    )
    asking = client(stub)
    asking.ask([Message("user", "q")], 1, ASKED)
    assert stub.bodies[-1].get("top_k") == turned_off
    asking.ask([Message("user", "q")], 1, ASKED)
    assert len(stub.bodies) == {-1: 2, 0: 3, None: 4}[turned_off]


def test_a_value_that_truncates_is_not_dropped_for_its_range(stub):
    stub.whole = accepts((lambda b: b["top_k"] == 50, said("top_k must be at most 40")))
    with pytest.raises(UnansweredError, match="at most 40"):
        client(stub).ask([Message("user", "q")], 1, {**ASKED, "top_k": 50})
    assert len(stub.bodies) == 1


def test_the_system_role_of_llama_cpp_which_answers_500(stub):
    stub.whole = lambda body: (
        (500, {}, said("Jinja Exception: System role not supported").encode())
        if body["messages"][0]["role"] == "system"
        else None
    )
    client(stub).ask(TURNS, 1, ASKED)
    assert len(stub.bodies) == 2
    assert stub.bodies[-1]["messages"] == [{"role": "user", "content": "Be kind.\n\nq"}]


def test_a_text_too_long_is_that_questions_fault_alone(stub, steering):
    long = said("This model's maximum context length is 9 tokens. Please reduce the length.")
    stub.whole = accepts((lambda b: "query 2" in b["messages"][-1]["content"], long))
    groups = draw(stub, QUERIES, GroupPlan(2, 0, 0), steering=steering)
    assert len(groups) == 5
    assert len(stub.bodies) == 6


def test_an_address_without_a_version(stub, caplog):
    wanted = "/v1/chat/completions"
    answer = stub.answer

    def only_there(handler):
        if handler.path == wanted:
            return answer(handler)
        handler.rfile.read(int(handler.headers["Content-Length"]))
        stub.paths.append(handler.path)
        stub.reply_with(handler, 404, {}, b"404 page not found")

    stub.answer = only_there
    asking = ChatClient(stub.url.removesuffix("/v1"), "m", first_pause=0.01)
    for _ in range(2):
        asking.ask([Message("user", "q")], 1, ASKED)
    assert stub.paths == ["/chat/completions", wanted, wanted]
    assert caplog.text.count("asked at") == 1


@pytest.mark.parametrize(
    "end", ["", "/", "//", "/chat/completions", "/chat/completions/", "/models", " \n"]
)
def test_addresses_that_end_otherwise(stub, end):
    ChatClient(stub.url + end, "m").ask([Message("user", "q")], 1, ASKED)
    assert stub.paths == ["/v1/chat/completions"]


def test_azures_address(stub):
    url = stub.url.removesuffix("/v1") + "/openai/deployments/d/chat/completions?api-version=2024"
    ChatClient(url, "m").ask([Message("user", "q")], 1, ASKED)
    assert stub.paths == ["/openai/deployments/d/chat/completions?api-version=2024"]
    assert stub.headers[0]["api-key"]


def test_an_address_that_is_none_with_a_version_either(stub):
    """What the address as it was given said is not lost."""
    stub.whole = lambda body: (404, {}, b"no deployment of that name")
    stub.models = []
    with pytest.raises(ServerError, match="no deployment of that name") as caught:
        ChatClient(stub.url.removesuffix("/v1"), "m").ask([Message("user", "q")], 1, ASKED)
    assert "neither without nor with /v1" in caught.value.why


def test_a_date_to_wait_for():
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    assert 80 < Reply(429, b"", {"retry-after": later}).retry_after <= 90
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert Reply(429, b"", {"retry-after": past}).retry_after == 0


def test_an_extra_field_that_a_server_refuses_is_not_dropped(stub):
    stub.whole = accepts((lambda b: "top_a" in b, said("Unknown field: top_a", param="top_a")))
    with pytest.raises(UnansweredError, match="Unknown field: top_a"):
        ChatClient(stub.url, "m", extra_body={"top_a": 1}).ask([Message("user", "q")], 1, ASKED)
    assert len(stub.bodies) == 1


def test_an_address_of_ip_version_6(monkeypatch):
    with pytest.raises(ServerError, match="ConnectError"):
        ChatClient("http://[::1]:9/v1", "m", attempts=1).ask([Message("user", "q")], 1, {})


@pytest.mark.parametrize(
    ("status", "headers", "content", "told"),
    [
        (404, {}, said("The model `n` does not exist."), "the server's models: llama, m"),
        (401, {}, "no", "see whether the key in the environment variable OPENAI_API_KEY"),
        (403, {}, "<html><title>403 Forbidden</title><p>x</html>", "status 403: 403 Forbidden"),
        (301, {"Location": "https://a:p4ss@b/v1/chat/completions?key=p4ss"}, "",
         "(https://b/v1/chat/completions)"),
        (405, {}, "", "status 405"),
        (429, {}, said("You exceeded your quota", code="insufficient_quota"), "no credit left"),
    ],
)  # fmt: skip
def test_what_meets_every_question_stops_at_once(stub, status, headers, content, told):
    stub.whole = lambda body: (status, headers, content.encode())
    stub.models = ["llama", "m"]
    with pytest.raises(ServerError) as caught:
        ChatClient(stub.url, "n").ask([Message("user", "q")], 1, ASKED)
    assert type(caught.value) is ServerError
    assert told in str(caught.value)
    assert "p4ss" not in str(caught.value)
    assert len(stub.bodies) == 1


def test_a_key_that_is_not_set_is_named(stub):
    stub.whole = lambda body: (401, {}, b"no key")
    with pytest.raises(ServerError, match="MY_KEY is not set"):
        ChatClient(stub.url, "m", "MY_KEY").ask([Message("user", "q")], 1, ASKED)


@pytest.mark.parametrize(
    ("headers", "content", "told"),
    [
        ({}, b"\xff\xfe{}", "utf-8"),
        ({}, b"<!doctype html><title>Welcome</title>", "Welcome"),
        ({"Content-Type": "text/event-stream"}, b'data: {"choices": []}\n\n', "stream"),
        ({"Content-Encoding": "gzip"}, b"no gzip", "DecodingError"),
        ({}, b'{"choices": [], "choices": []}', "twice"),
    ],
)
def test_answers_in_no_good_form(stub, headers, content, told):
    stub.whole = lambda body: (200, headers, content)
    with pytest.raises(UnansweredError, match=told):
        client(stub, attempts=2).ask([Message("user", "q")], 1, ASKED)
    assert len(stub.bodies) == 2


def test_an_answer_in_gzip_of_any_content_type(stub):
    import gzip

    good = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/html"}
    stub.whole = lambda body: (200, headers, gzip.compress(json.dumps(good).encode()))
    assert client(stub).ask([Message("user", "q")], 1, ASKED)[0].text == "yes"
