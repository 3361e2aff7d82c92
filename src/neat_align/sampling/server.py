"""Sampling from a server: many questions at a time, and nothing asked twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neat_align import defaults
from neat_align.chat_client import Answer, ChatClient
from neat_align.chat_journal import Journal, ask_all
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
        concurrency: int = defaults.CONCURRENCY,
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

        def ask(key: Key) -> list[Answer]:
            return self._answers([requests[i] for i in wanted[key]], decoding)

        found: dict[int, Response] = {}
        for key, answers in ask_all(ask, wanted, self.concurrency).items():
            for i, answer in zip(wanted[key], answers, strict=True):
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
