"""A client of any OpenAI-compatible chat endpoint: vLLM, SGLang, llama.cpp, Ollama, hosted ones.

A request that fails for a passing reason (429, 5xx, a timeout, a broken answer, a dropped
connection) is repeated after growing pauses, or after `Retry-After`. A request that the server
refuses for its form is put differently (`servers.dialect`). An answer that cannot be used is
asked for again (`servers.answers`). One unanswered question does not stop the others; a server
that cannot be reached, or refuses every question, is an error. The key is read from the
environment and never appears in a message, file or log of ours.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeVar

import httpx

from neat_align import defaults
from neat_align.errors import ServerError, UnansweredError, raise_all
from neat_align.servers.address import Address, url_problems
from neat_align.servers.answers import (
    Answer,
    Completion,
    before_stops,
    parse_body,
    read_completion,
)
from neat_align.servers.checks import client_problems
from neat_align.servers.dialect import Form, what_it_says
from neat_align.servers.patience import Patience
from neat_align.servers.refusals import fix_of, is_of_one_question, text_of
from neat_align.servers.secrets import SHORTEST, key_problems, read_key, strike
from neat_align.servers.transport import Reply, exchange, open_http, what_failed
from neat_align.types import Message

__all__ = ["Answer", "ChatClient", "client_problems", "url_problems"]

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
ROUNDS = 3
"""Times that a question is asked whose answers cannot be used."""
SHOWN = 300  # characters of a server's answer in an error
Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass
class ChatClient:
    """Asks one model of one server; safe to use from several threads.

    Attributes:
        url: up to and including the version, e.g. http://localhost:8000/v1.
        model: as the server calls it.
        key_variable: environment variable that holds the key; none is sent where it is unset.
        timeout: seconds for one answer.
        attempts: how often a question is asked at most.
        first_pause, longest_pause: seconds between attempts, doubled from one to the next.
        extra_body: further fields of every question, e.g. {"chat_template_kwargs": {…}}.
        form: how questions are put; changes as the server refuses parts of it.
        answered_as: what the server calls the model that answered.

    Raises:
        RecipeError: an address, key, extra field or environment that cannot be used.
    """

    url: str
    model: str
    key_variable: str = defaults.KEY_VARIABLE
    timeout: float = 120.0
    attempts: int = 6
    first_pause: float = 0.5
    longest_pause: float = 60.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    http: httpx.Client = field(init=False, repr=False)
    form: Form = field(init=False, default=Form())
    answered_as: set[str] = field(init=False, default_factory=set)
    patience: Patience = field(init=False, repr=False, default_factory=Patience)

    def __post_init__(self) -> None:
        raise_all(client_problems(self.url, self.key_variable, self.extra_body))
        self.http, self._lock = open_http(self.timeout), threading.Lock()
        self._address = Address.of(self.url)
        weakref.finalize(self, self.http.close)  # connections end with the client

    def ask(
        self, messages: Sequence[Message], count: int, options: Mapping[str, Any]
    ) -> list[Answer]:
        """Ask one question; return at least one answer, and `count` if the server supports `n`.

        Args:
            options: further fields of the request, e.g. max_tokens.

        Raises:
            UnansweredError: this question was refused, or nothing that came was an answer.
            ServerError: the server takes no question, or none any more.
        """
        reasons: list[str] = []
        for again in range(ROUNDS):
            if again and "seed" in options:  # the same draw would be no answer again
                options = {**options, "seed": random.randrange(2**31)}
            found, note = self._completion(messages, count, options)
            clean = [self._clean(answer, note, found.model) for answer in found.answers[:count]]
            cut = [before_stops(answer, options.get("stop", ())) for answer in clean]
            if answers := [answer for answer in cut if answer is not None]:
                self.patience.answered()
                return answers
            reasons += found.refused or ["a text that begins with a stop string"]
        self._unanswered(
            f"{ROUNDS} answers were none; the last one: {reasons[-1]}",
            "see the table in docs/servers.md; the next start asks again",
        )

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[str], Result]) -> Result:
        """Send one request, and return what `read` makes of its answer.

        Args:
            path: below the client's address.
            read: gets the answer's text. If it raises, the answer counts as broken, and the
                request is repeated.

        Raises:
            UnansweredError: this question was refused, or had no proper answer in all attempts.
            ServerError: the server takes no question, or none any more.
        """
        return self._post(path, lambda: body, lambda content: read(content.decode()))

    def _completion(
        self, messages: Sequence[Message], count: int, options: Mapping[str, Any]
    ) -> tuple[Completion, str]:
        """Return the outcome of one request, and how its form differed from the one wanted."""
        forms: list[Form] = []
        extra = {key: value for key, value in self.extra_body.items() if key not in options}

        def body() -> dict[str, Any]:
            forms.append(self.form)
            return forms[-1].body(self.model, messages, count, {**extra, **options})

        def adapt(reply: Reply) -> bool:
            return self._adapt(forms[-1], reply, body())

        found = self._post("chat/completions", body, read_completion, adapt)
        self._note_model(found.model)
        return found, forms[-1].note

    def _adapt(self, sent_in: Form, reply: Reply, body: Mapping[str, Any]) -> bool:
        """Change the form of all requests after a refusal; False if no form would help."""
        if reply.status not in (400, 422, 500, 501):
            return False
        with self._lock:
            if self.form != sent_in:  # another question has met this already
                return True
            changed = self.form.adapted(reply.content, body, frozenset(self.extra_body))
            if changed is None:
                return False
            self.form, told = changed
        said = self._safe(what_it_says(reply.content)[0])[:SHOWN]
        logger.warning("%s at %s is now asked with %s: %s", self.model, self.url, told, said)
        return True

    def _note_model(self, name: str) -> None:
        if not name or name in self.answered_as:
            return
        self.answered_as.add(name)
        if not name.startswith(self.model):
            logger.warning("%s at %s answers as %s", self.model, self.url, self._safe(name))

    def _post(
        self,
        path: str,
        body: Callable[[], Mapping[str, Any]],
        read: Callable[[bytes], Result],
        adapt: Callable[[Reply], bool] = lambda reply: False,
    ) -> Result:
        """Send one request until its answer can be read; see `post` for what is raised."""
        problem, pause, attempt, gone = "", self.first_pause, 0, False
        moved = self._address != Address.of(self.url)
        while attempt < self.attempts:
            if attempt:
                time.sleep(pause * random.uniform(0.75, 1.0))
            pause, gone = min(2 * pause, self.longest_pause), False
            asked = self._address
            try:
                reply = self._exchange("POST", asked.to(path), body())
            except httpx.RequestError as error:
                attempt, gone = attempt + 1, isinstance(error, httpx.ConnectError)
                problem = what_failed(error)
                continue
            if reply.status == httpx.codes.OK:
                try:
                    return read(reply.content)
                except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
                    problem = f"an answer of another form ({error})"
            if self._moves(asked, reply):
                moved = True
                continue
            if reply.status != httpx.codes.OK:
                if adapt(reply):
                    continue
                problem = self._passing(reply, moved)
                pause = max(pause, min(reply.retry_after, self.longest_pause))
            attempt += 1
        self._out_of_attempts(problem, gone)

    def _passing(self, reply: Reply, moved: bool) -> str:
        """Describe an error that another attempt may not meet; raise any other error.

        Args:
            reply: with a status other than 200.
            moved: the address has been tried with and without /v1.
        """
        problem = f"status {reply.status}: {_shown(self._safe(text_of(reply)))}"
        if reply.status == httpx.codes.NOT_FOUND and moved:
            problem = f"neither without nor with /v1 is there such a thing: {problem}"
        if reply.status not in PASSING or b"insufficient_quota" in reply.content:
            self._refused(reply, problem)
        return problem

    def _out_of_attempts(self, problem: str, gone: bool) -> NoReturn:
        """Raise the error of a question that failed in all attempts, or of the whole server."""
        why = f"{self.attempts} attempts, the last one: {problem}"
        fix = "see whether the server is well, and start again: what was answered is kept"
        out = gone or self.patience.is_out_after(broken=True)
        raise self._error(why, fix, ServerError if out else UnansweredError)

    def _moves(self, asked: Address, reply: Reply) -> bool:
        """Tell whether to repeat the request at another address: with /v1, or one set since."""
        page = reply.content.lstrip()[:1] == b"<"
        if asked != self._address:  # another question has moved it already
            return True
        versioned = asked.versioned
        if versioned is None or not (reply.status in (404, 405) or page):
            return False
        self._address = versioned
        logger.warning("%s: asked at %s from now on", self.url, versioned.base)
        return True

    def _exchange(self, method: str, url: str, body: Any) -> Reply:
        reply = exchange(self.http, method, url, body, self._headers(), self.timeout)
        clean = strike(reply.content.decode("latin-1"), self.key_variable, SHORTEST)
        return replace(reply, content=clean.encode("latin-1"))

    def _headers(self) -> dict[str, str]:
        key = read_key(self.key_variable)
        if not key:
            return {}
        raise_all(key_problems(self.key_variable))
        azure = {"api-key": key} if self._address.query else {}
        return {"Authorization": f"Bearer {key}", **azure}

    def _refused(self, reply: Reply, problem: str) -> NoReturn:
        """Raise the error of a refusal: of this question alone, or of the server."""
        if is_of_one_question(reply):
            self._unanswered(
                problem, "correct what the server names; other questions are asked all the same"
            )
        key = f"${self.key_variable}" if read_key(self.key_variable) else ""
        fix = fix_of(reply, self.key_variable, key, self.model, self._models)
        raise self._error(problem, self._safe(fix))

    def _models(self) -> list[str]:
        """List the names of the server's models; empty if it does not tell."""
        try:
            reply = self._exchange("GET", self._address.to("models"), None)
            listed = parse_body(reply.content)["data"]
            return [str(model["id"]) for model in listed]
        except (httpx.RequestError, ValueError, KeyError, TypeError):
            return []

    def _unanswered(self, why: str, fix: str) -> NoReturn:
        out = self.patience.is_out_after(broken=False)
        raise self._error(why, fix, ServerError if out else UnansweredError)

    def _error(self, why: str, fix: str, kind: type[ServerError] = ServerError) -> ServerError:
        return kind(f"model {self.model!r} at {self.url}", self._safe(why), fix)

    def _safe(self, text: str) -> str:
        return strike(text, self.key_variable)

    def _clean(self, answer: Answer, note: str, model: str) -> Answer:
        """Strike the key out of an answer, and record how and by whom it was answered."""
        text, name = (strike(t, self.key_variable, SHORTEST) for t in (answer.text, model))
        return replace(answer, text=text, note=note, model=name)


def _shown(text: str) -> str:
    return " ".join(text[:SHOWN].split())
