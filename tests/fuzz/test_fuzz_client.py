"""A server that answers anything at all: the client ends with answers or a three-part error."""

import json
import random
import socketserver
import threading

import pytest
from tests.fuzz.hostile import INPUTS, damaged, mutated, survives, text, value

from neat_align.servers.client import ChatClient
from neat_align.types import Message

GOOD = {
    "id": "1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "length"},
    ],
    "usage": {"total_tokens": 3},
}
HEADERS = ("Content-Encoding: gzip", "Transfer-Encoding: chunked", "Content-Type: text/\xff",
           "Retry-After: nan", "Retry-After: -1", "Location: file:///etc/passwd", "X: \x00",
           "Set-Cookie: a=b; Max-Age=99999999999999999999", "Content-Length: 7")  # fmt: skip


def answer(rng: random.Random) -> bytes:
    """Bytes of an HTTP response, mostly one in good form with a hostile body."""
    body = json.dumps(mutated(rng, GOOD)).encode()
    if rng.random() < 0.2:
        body = json.dumps(value(rng, ("choices", "message", "content"))).encode()
    if rng.random() < 0.02:
        body = b"[" * 100_000
    status = rng.choice((200, 200, 200, 200, 200, 200, 204, 302, 400, 401, 429, 500, 999, -1))
    lines = [f"HTTP/1.1 {status} {text(rng)[:20]!a}", f"Content-Length: {len(body)}"]
    if rng.random() < 0.15:
        lines.append(rng.choice(HEADERS))
    head = "\r\n".join(lines).encode("latin-1", errors="replace") + b"\r\nConnection: close\r\n\r\n"
    return damaged(rng, head + body) if rng.random() < 0.2 else head + body


@pytest.fixture
def server():
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.request.recv(65536) or b"\r\n\r\n"
            self.request.sendall(self.server.next_answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address, next_answer = True, True, b""

        def handle_error(self, request, address):
            pass  # a client that hung up

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask_many(server, count):
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    client = ChatClient(url, "m", timeout=30, attempts=2, first_pause=0.001, longest_pause=0.002)
    answered = 0
    for number in range(count):
        rng = random.Random(f"client-{number}")
        server.next_answer = answer(rng)
        with survives(number):
            question = text(rng).encode(errors="replace").decode()
            answers = client.ask([Message("user", question)], 2, {"max_tokens": 3})
            assert 1 <= len(answers) <= 2
            for found in answers:
                assert found.text.strip()
                assert found.finish in ("stop", "length")
                found.text.encode()
            answered += 1
    return answered


def test_a_server_that_answers_anything(server):
    assert ask_many(server, INPUTS) > INPUTS / 10


def test_a_cookie_is_not_kept(server):
    body = b'{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}'
    cookie = "Set-Cookie: a\u00dd=b; Path=/".encode("latin-1")
    head = [b"HTTP/1.1 200 OK", cookie, b"Content-Length: %d" % len(body), b"Connection: close"]
    server.next_answer = b"\r\n".join([*head, b"", body])
    client = ChatClient(f"http://127.0.0.1:{server.server_address[1]}/v1", "m", timeout=60)
    for _ in range(2):
        assert client.ask([Message("user", "?")], 1, {})[0].text == "yes"
    assert not client.http.cookies


@pytest.mark.nightly
def test_many_more_answers(server):
    assert ask_many(server, 25_000)
