"""Sample from a server: many requests at a time, and nothing asked twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neat_align import defaults
from neat_align.errors import RecipeError, ServerError, UnansweredError
from neat_align.prompts.phrasing import Phrasing
from neat_align.sampling.base import Decoding, SamplingRequest
from neat_align.servers.client import Answer, ChatClient
from neat_align.servers.journal import Journal, ask_all
from neat_align.types import Message, Response

Key = tuple[str, Phrasing]  # query id, what steers
GOES_ON = {"continue_final_message": True, "add_generation_prompt": False}
"""Tells vLLM and SGLang to go on from the last message; llama.cpp does so unasked."""
LARGEST_SEED = 2**31
VERSION = 2
"""Of how questions are put: other options, or other rules of what an answer is, ask anew."""


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
        continues_turns: the server goes on from an answer that is begun, as its user says;
            one that does not would answer it as if somebody had said it.

    Attributes:
        unanswered: why queries have no answer, by their id.
        in_force: what is known of the last call's answers: "answered as", the server's names
            of the model, and "asked", how the questions differed from what was wanted.
    """

    def __init__(
        self,
        client: ChatClient,
        concurrency: int = defaults.CONCURRENCY,
        journal: Path | None = None,
        progress: Callable[[int], None] = lambda count: None,
        continues_turns: bool = False,
    ) -> None:
        self.client, self.concurrency, self.progress = client, concurrency, progress
        self.continues_turns = continues_turns
        self.name = client.model
        self.journal = Journal(journal)
        self.unanswered: dict[str, str] = {}
        self.in_force: dict[str, set[str]] = {"asked": set(), "answered as": set()}

    def sample(
        self, requests: Sequence[SamplingRequest], decoding: Decoding
    ) -> list[Response | None]:
        """Ask for one response per request, in their order; None where the server gave none.

        What came for a query is in the journal, even if it is not all that was asked for.

        Raises:
            RecipeError: an answer shall begin in some way, and the server is not said to go on.
            ServerError: the server takes no question, or none any more, or has answered
                nothing at all; the answers so far are in the journal, and, without one, for
                this sampler's next call.
        """
        wanted: dict[Key, list[int]] = {}
        for i, request in enumerate(requests):
            if request.prefix and not self.continues_turns:
                raise cannot_begin(request.prefix)
            wanted.setdefault((request.query.id, request.phrasing), []).append(i)
        if not self.journal.is_empty:
            self.client.patience.answered()

        def ask(key: Key) -> list[Answer] | UnansweredError:
            try:
                return self._answers([requests[i] for i in wanted[key]], decoding)
            except UnansweredError as error:
                return error

        found: list[Response | None] = [None] * len(requests)
        asked = ask_all(ask, wanted, self.concurrency)
        for texts in self.in_force.values():
            texts.clear()
        for key, answers in asked.items():
            if isinstance(answers, UnansweredError):
                self.unanswered[key[0]] = answers.why
                continue
            self.in_force["asked"] |= {answer.note for answer in answers} - {""}
            self.in_force["answered as"] |= {answer.model for answer in answers} - {""}
            for i, answer in zip(wanted[key], answers, strict=True):
                found[i] = self._response(requests[i], answer)
        self._check_some(asked.values())
        return found

    def _check_some(self, asked: Any) -> None:
        """Raise where there is no answer at all: then it is no query's fault."""
        errors = [error for error in asked if isinstance(error, UnansweredError)]
        if errors and len(errors) == len(asked) and self.journal.is_empty:
            given, why = errors[0].given, errors[0].why
            every = f"none of {len(asked)} questions was answered; the first: {why}"
            raise ServerError(given, why if len(asked) == 1 else every, errors[0].fix)

    def _answers(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> list[Answer]:
        """Get the answers to one question, from the journal as far as it has them."""
        question = self._question(requests, decoding)
        messages = _messages(requests[0])
        known = self.journal.answers(question)[: len(requests)]
        while len(known) < len(requests):  # a server may ignore `n`
            options = self._options(requests[len(known)], decoding)
            new = self.client.ask(messages, len(requests) - len(known), options)
            self.journal.add(question, new)
            known = [*known, *new]
        self.progress(len(requests))
        return known

    def _options(self, request: SamplingRequest, decoding: Decoding) -> dict[str, Any]:
        """Say outright all that decides how tokens are drawn: servers have their own defaults.

        Such as those of the model's generation_config, a repetition penalty among them.
        """
        options: dict[str, Any] = {
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "min_p": decoding.min_p,
            "repetition_penalty": 1.0,
            "seed": request.seed % LARGEST_SEED,
        }
        if decoding.stop_strings:
            options["stop"] = list(decoding.stop_strings)
        if request.prefix:
            options |= GOES_ON
        own = request.query.template_columns  # before those of every query
        if "chat_template_kwargs" in own:
            every = self.client.extra_body.get("chat_template_kwargs", {})
            own["chat_template_kwargs"] = {**every, **own["chat_template_kwargs"]}
        return {**options, **own}

    def _question(self, requests: Sequence[SamplingRequest], decoding: Decoding) -> str:
        """Make the key of a question; the seeds tell apart two draws of a query."""
        parts = [
            VERSION,
            self.client.url,
            self.client.model,
            [m.to_json() for m in _messages(requests[0])],
            asdict(decoding),
            [request.seed for request in requests],
            dict(self.client.extra_body),
            requests[0].query.template_columns,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _response(self, request: SamplingRequest, answer: Answer) -> Response:
        return Response(
            text=_whole(request.prefix, answer.text),
            **request.provenance,
            finish=answer.finish,
            sampler=f"{self.name} ({answer.note})" if answer.note else self.name,
        )


def cannot_begin(prefix: str) -> RecipeError:
    """Make the error for an answer's beginning that a server may not go on from."""
    return RecipeError(
        f"an answer that begins {prefix!r}, by a server",
        "not every server goes on from an answer that is begun; some answer it",
        "where yours does (vLLM, SGLang and llama.cpp do), say so: --continues-turns "
        "(ServerSampler(continues_turns=True)); or steer through prompts or turns",
    )


def _whole(prefix: str, text: str) -> str:
    """Return the answer with its beginning, which some servers repeat and others do not."""
    return text.strip() if text.lstrip().startswith(prefix) else (prefix + text).strip()


def _messages(request: SamplingRequest) -> list[Message]:
    """Write the steering prompt as, or before, the system message; then the conversation."""
    begun = [Message("assistant", request.prefix)] if request.prefix else []
    conversation = [*request.conversation.messages, *begun]
    if not request.steering:
        return conversation
    first, *rest = conversation
    if first.role == "system":
        return [Message("system", f"{request.steering}\n\n{first.content}"), *rest]
    return [Message("system", request.steering), first, *rest]
