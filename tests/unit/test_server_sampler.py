"""Sampling from a chat endpoint: a stub server on bad days, and nothing asked twice."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neat_align.errors import RecipeError, ServerError
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.plan import GroupPlan
from neat_align.sampling.server import ServerSampler
from neat_align.servers.client import ChatClient
from neat_align.servers.transport import Reply
from neat_align.types import Message, Query, Source

QUERIES = [Query.from_text(f"query {i}") for i in range(6)]
KEY = "sk-very-secret"


class Stub:
    """A server whose behaviour is a list of what to do with the next requests."""

    def __init__(self):
        self.plan, self.bodies, self.headers = [], [], []
        self.heeds_n, self.wanted_open, self.open, self.most_open = True, 0, 0, 0
        self.lock = threading.Lock()
        self.too_late, self.all_open = threading.Event(), threading.Event()
        self.fails_for = ""
        self.whole = lambda body: None  # (status, headers, bytes) instead of what else it says
        self.choices = lambda body: None  # choices instead of good ones
        self.paths, self.models = [], ["m"]
        self.reply = lambda body: f" re: {body['messages'][-1]['content']} "
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                stub.answer(self)

            def do_GET(self):
                listed = {"data": [{"id": name} for name in stub.models]}
                stub.reply_with(self, 200, {}, json.dumps(listed).encode())

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def answer(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.open += 1
            self.most_open = max(self.open, self.most_open)
            self.bodies.append(body)
            self.paths.append(handler.path)
            self.headers.append(dict(handler.headers))
            what = self.plan.pop(0) if self.plan else "good"
        if self.wanted_open:  # held until as many are open as may be
            if self.open >= self.wanted_open:
                self.all_open.set()
            self.all_open.wait(60)
        last = body["messages"][-1]["content"]
        if self.fails_for and self.fails_for in last:
            what = 400
        with self.lock:
            self.open -= 1
        if (whole := self.whole(body)) is not None:
            return self.reply_with(handler, *whole)
        self.send(handler, what, body, last)

    def reply_with(self, handler, status, headers, content):
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def send(self, handler, what, body, last):
        count = body.get("n", 1) if self.heeds_n else 1
        count = {"too many": count + 3, "none": 0}.get(what, count)
        choice = {"message": {"content": self.reply(body)}, "finish_reason": "stop"}
        choices = self.choices(body) or [choice] * count
        content = json.dumps({"choices": choices, "model": body["model"]}).encode()
        status = what if isinstance(what, int) else 200
        if isinstance(what, int):
            content = f"no, {handler.headers.get('Authorization')}".encode()
        if what == "dropped":
            handler.connection.close()
            return
        if what == "slow":
            self.too_late.wait(60)  # until the client has given up, or the test is over
        handler.send_response(status)
        if what == 429:
            handler.send_header("Retry-After", "0.3")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:-20] if what == "truncated" else content)
        if what == "truncated":
            handler.connection.close()


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub = Stub()
    yield stub
    stub.too_late.set()
    stub.server.shutdown()
    stub.server.server_close()


def client(stub, **more):
    # Short only where an answer is to come too late: a busy machine is slow by itself.
    timeout = 3.0 if "slow" in stub.plan else 60.0
    return ChatClient(stub.url, "m", first_pause=0.01, timeout=timeout, **more)


def draw(stub, queries=QUERIES, plan=None, journal=None, steering=None, **more):
    sampler = ServerSampler(client(stub, **more), concurrency=3, journal=journal)
    decoding = Decoding(16, 0.7, stop_strings=("END",))
    return sample_groups(sampler, queries, steering, plan or GroupPlan(0, 2, 2), decoding, 0)


@pytest.mark.parametrize("heeds_n", [True, False])
def test_as_many_answers_as_asked_for_even_where_n_is_ignored(stub, steering, heeds_n):
    stub.heeds_n = heeds_n
    groups = draw(stub, plan=GroupPlan(3, 1, 2), steering=steering)
    assert [len(g.responses) for g in groups] == [6] * 6
    for group in groups:
        for response in group.responses:
            assert response.text == f"re: {group.query.text}"
            assert (response.sampler, response.finish, response.token_ids) == ("m", "stop", None)
    plain = [b for b in stub.bodies if b["messages"][0]["role"] == "user"]
    assert len(plain) == (6 if heeds_n else 18)
    assert plain[0]["n"] == 3
    assert {b["messages"][0]["content"] for b in stub.bodies if b not in plain} == {
        *steering.positive,
        *steering.negative,
    }
    assert stub.bodies[0]["stop"] == ["END"]
    seeds = [b["seed"] for b in plain if b["messages"] == plain[0]["messages"]]
    assert len(set(seeds)) == len(seeds)  # the rest of a group is no repetition


def test_the_number_of_open_questions_is_bounded(stub, steering):
    stub.wanted_open = 3
    draw(stub, steering=steering)
    assert stub.most_open == 3


@pytest.mark.parametrize("bad", [429, 500, 503, "truncated", "dropped", "slow", "none"])
def test_what_fails_in_passing_is_asked_again(stub, steering, bad):
    stub.plan = [bad, "good", bad]
    groups = draw(stub, QUERIES[:3], steering=steering)
    assert [len(g.responses) for g in groups] == [4] * 3
    assert len(stub.bodies) == 12 + 2


def test_more_answers_than_asked_for_are_left(stub, steering):
    stub.plan = ["too many"] * 12
    assert [len(g.responses) for g in draw(stub, QUERIES[:3], steering=steering)] == [4] * 3


def test_retry_after_is_waited_for(stub, steering):
    stub.plan = [429]
    start = time.monotonic()
    draw(stub, QUERIES[:1], GroupPlan(2, 0, 0), steering=steering)
    assert time.monotonic() - start > 0.2


@pytest.mark.parametrize("value", ["nan", "inf", "-3", "soon", "", "Wed, 99 Oct 2015"])
def test_a_retry_after_that_says_nothing_does_no_harm(stub, steering, value):
    assert Reply(429, b"", {"retry-after": value}).retry_after in (0.0, float("inf"))


def test_a_refusal_is_told_at_once_and_without_the_key(stub, steering, tmp_path):
    stub.plan = [401]
    journal = tmp_path / "journal.jsonl"
    with pytest.raises(ServerError, match="status 401") as caught:
        draw(stub, QUERIES[:1], GroupPlan(2, 0, 0), journal, steering)
    assert len(stub.bodies) == 1
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(client(stub))


def test_a_server_that_stays_away_is_given_up(stub, steering):
    stub.plan = [500] * 99
    with pytest.raises(ServerError, match="3 attempts, the last one: status 500"):
        draw(stub, QUERIES[:1], GroupPlan(2, 0, 0), steering=steering, attempts=3)
    stub.server.shutdown()
    stub.server.server_close()
    with pytest.raises(ServerError, match="ConnectError"):
        draw(stub, QUERIES[:1], GroupPlan(2, 0, 0), steering=steering, attempts=2)


def test_what_was_answered_is_kept_and_not_asked_again(stub, steering, tmp_path):
    journal = tmp_path / "new" / "journal.jsonl"
    stub.heeds_n, stub.fails_for = False, "query 4"
    groups = draw(stub, plan=GroupPlan(3, 0, 0), journal=journal, steering=steering)
    assert [g.query for g in groups] == [q for q in QUERIES if q.text != "query 4"]
    answered = len(journal.read_text().split())
    paid = [b for b in stub.bodies if "query 4" not in b["messages"][-1]["content"]]
    with journal.open("a") as file:
        file.write('\n{"question": "cut sho')  # killed while it wrote
    stub.fails_for = ""
    groups = draw(stub, plan=GroupPlan(3, 0, 0), journal=journal, steering=steering)
    assert [len(g.responses) for g in groups] == [3] * 6
    again = [b["messages"][-1]["content"] for b in stub.bodies]
    assert answered
    assert len([c for c in again if "query 4" not in c]) == 15
    assert len(paid) == 15
    before = len(stub.bodies)
    assert draw(stub, plan=GroupPlan(3, 0, 0), journal=journal, steering=steering) == groups
    assert len(stub.bodies) == before
    assert KEY not in journal.read_text()


def test_a_system_message_of_the_query_stays_behind_the_steering_prompt(stub, steering):
    query = Query((Message("system", "You sell lamps."), Message("user", "Hi")))
    draw(stub, [query], GroupPlan(0, 1, 1), steering=steering)
    contents = {b["messages"][0]["content"] for b in stub.bodies}
    assert all(c.endswith("\n\nYou sell lamps.") for c in contents)
    assert {c.partition("\n\n")[0] for c in contents} <= {*steering.positive, *steering.negative}


def steered(query, **channels):
    return [SamplingRequest(query, Source.NEGATIVE, "", 0, **channels)]


@pytest.mark.parametrize("repeats", [False, True])
def test_a_begun_answer_is_gone_on_from_and_holds_its_beginning_once(stub, repeats):
    stub.reply = lambda body: "No, never. " if repeats else " never. "
    sampler = ServerSampler(client(stub), continues_turns=True)
    turns = (("Hello.", "What now."),)
    (found,) = sampler.sample(steered(QUERIES[0], turns=turns, prefix="No,"), Decoding(4))
    assert (found.text, found.prefix, found.turns) == ("No, never.", "No,", turns)
    (body,) = stub.bodies
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user", "assistant"]
    assert body["messages"][-1]["content"] == "No,"
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_a_server_that_is_not_said_to_go_on_is_not_asked(stub):
    with pytest.raises(RecipeError, match="begins 'No,', by a server") as caught:
        ServerSampler(client(stub)).sample(steered(QUERIES[0], prefix="No,"), Decoding(4))
    assert "continues_turns=True" in caught.value.fix
    assert stub.bodies == []
    ServerSampler(client(stub)).sample(steered(QUERIES[0], turns=(("a", "b"),)), Decoding(4))
    assert "continue_final_message" not in stub.bodies[0]


def test_the_journal_tells_channels_apart(stub, tmp_path):
    stub.reply = lambda body: f" {len(body['messages'])} "

    def texts():
        sampler = ServerSampler(client(stub), journal=tmp_path / "j", continues_turns=True)
        asked = [
            *steered(QUERIES[0]),
            *steered(QUERIES[0], prefix="No,"),
            *steered(QUERIES[0], turns=(("a", "b"),)),
        ]
        return [r.text for r in sampler.sample(asked, Decoding(4))]

    assert texts() == ["1", "No, 2", "3"]
    assert texts() == ["1", "No, 2", "3"]
    assert len(stub.bodies) == 3
