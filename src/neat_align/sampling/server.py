"""Sampling from a server: many questions at a time, and nothing asked twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neat_align.chat_client import Answer, ChatClient
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.types import Message, Response

Key = tuple[str, str]  # query id, steering prompt


class ServerSampler:
    """Draws responses from a chat endpoint.

    Requests for the same query under the same steering prompt are one question for several
    answers. A server does not say which tokens it drew, nor does it promise that a seed
    fixes them, so responses carry neither; trained on, their text is tokenised again.

    Args:
        client: of the server.
        concurrency: questions that are open at a time.
        journal: file to which answers are added as they come. Answers in it are used instead
            of asking, so a run that stopped goes on without paying twice.
        progress: called with the number of responses that came.
    """

    def __init__(
        self,
        client: ChatClient,
        concurrency: int = 16,
        journal: Path | None = None,
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.client, self.concurrency, self.progress = client, concurrency, progress
        self.name = client.model
        self.journal = Journal(journal)

    def sample(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Response]:
        """One response for each request, in their order.

        Raises:
            ServerError: a question failed for good; the answers to the others are in the
                journal, and, without one, for this sampler's next call.
        """
        wanted: dict[Key, list[int]] = {}
        for i, request in enumerate(requests):
            wanted.setdefault((request.query.id, request.steering), []).append(i)
        with ThreadPoolExecutor(self.concurrency) as pool:
            asked = {
                key: pool.submit(self._answers, [requests[i] for i in places], decoding)
                for key, places in wanted.items()
            }
            _finish(asked.values())
        found: dict[int, Response] = {}
        for key, places in wanted.items():
            for i, answer in zip(places, asked[key].result(), strict=True):
                found[i] = self._response(requests[i], answer)
        return [found[i] for i in range(len(requests))]

    def _answers(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Answer]:
        """Answers to one question, from the journal as far as it has them."""
        question = self._question(requests, decoding)
        messages, options = _messages(requests[0]), _options(decoding)
        known = self.journal.answers(question)[: len(requests)]
        while len(known) < len(requests):  # a server may ignore `n`
            new = self.client.ask(messages, len(requests) - len(known), options)
            self.journal.add(question, new)
            known = [*known, *new]
        self.progress(len(requests))
        return known

    def _question(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> str:
        """What makes two questions the same; the seeds tell apart two draws of a query."""
        parts = [
            self.client.url,
            self.client.model,
            [m.to_json() for m in _messages(requests[0])],
            asdict(decoding),
            [request.seed for request in requests],
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _response(self, request: SamplingRequest, answer: Answer) -> Response:
        return Response(
            text=answer.text.strip(),
            source=request.source,
            steering=request.steering,
            finish=answer.finish,
            sampler=self.name,
        )


class Journal:
    """Answers by question, in memory and, where a path is given, in a file a line each."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.lock = path, threading.Lock()
        self.known: dict[str, list[Answer]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._remember(line)

    def answers(self, question: str) -> list[Answer]:
        with self.lock:
            return list(self.known.get(question, ()))

    def add(self, question: str, answers: Iterable[Answer]) -> None:
        records = [{"question": question, **asdict(answer)} for answer in answers]
        with self.lock:
            for record in records:
                self._remember(json.dumps(record))
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    # A line that a crash cut short is ended first, and read as none.
                    file.write("".join("\n" + json.dumps(r) for r in records))

    def _remember(self, line: str) -> None:
        try:
            record = json.loads(line)
            answer = Answer(record["text"], record["finish"])
            self.known.setdefault(record["question"], []).append(answer)
        except (ValueError, KeyError, TypeError):
            return


def _finish(asked: Iterable[Future[Any]]) -> None:
    """Wait for all; after a failure, for those that are under way, and ask no more."""
    _, waiting = wait(list(asked), return_when=FIRST_EXCEPTION)
    for future in waiting:
        future.cancel()
    wait(waiting)


def _messages(request: SamplingRequest) -> list[Message]:
    """The steering prompt as, or before, the system message, then the conversation."""
    if not request.steering:
        return list(request.query.messages)
    first, *rest = request.query.messages
    if first.role == "system":
        return [Message("system", f"{request.steering}\n\n{first.content}"), *rest]
    return [Message("system", request.steering), first, *rest]


def _options(decoding: Decoding) -> dict[str, Any]:
    """Fields of the request; those that not every server knows only where they are used."""
    options: dict[str, Any] = {
        "max_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
    }
    if decoding.top_p < 1:
        options["top_p"] = decoding.top_p
    if decoding.top_k:
        options["top_k"] = decoding.top_k
    if decoding.min_p:
        options["min_p"] = decoding.min_p
    if decoding.stop_strings:
        options["stop"] = list(decoding.stop_strings)
    return options
