"""A client of any OpenAI-compatible chat endpoint: vLLM, SGLang, llama.cpp, Ollama, hosted ones.

What fails in passing (429, 5xx, a timeout, a broken answer, a dropped connection) is asked
again with growing pauses, or after what `Retry-After` says; anything else is an error at
once. The key comes from the environment, and is in no message, file or log of ours.
"""

from __future__ import annotations

import email.utils
import json
import os
import random
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx

from neat_align import defaults
from neat_align.errors import InputError, RecipeError, ServerError, raise_all
from neat_align.types import Finish, Message

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
FORM = "write it up to the version, e.g. http://localhost:8000/v1"
LARGEST = 1 << 26  # bytes of an answer
SHOWN = 300  # characters of a server's answer in an error

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """One choice of a completion."""

    text: str
    finish: Finish


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
    """

    url: str
    model: str
    key_variable: str = defaults.KEY_VARIABLE
    timeout: float = 120.0
    attempts: int = 6
    first_pause: float = 0.5
    longest_pause: float = 60.0
    http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        raise_all(url_problems(self.url))
        # No question needs a cookie, and httpx stumbles over those that are no ASCII.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        limits = httpx.Limits(max_connections=None)
        self.http = httpx.Client(timeout=self.timeout, limits=limits, cookies=no_cookies)
        weakref.finalize(self, self.http.close)  # connections end with the client

    def ask(
        self, messages: Sequence[Message], count: int, options: Mapping[str, Any]
    ) -> list[Answer]:
        """The answers of one request: at least one, and `count` where the server heeds `n`.

        Args:
            options: further fields of the request, e.g. max_tokens.

        Raises:
            ServerError: the server refused, or did not answer properly in all attempts.
        """
        body = {
            "model": self.model,
            "messages": [m.to_json() for m in messages],
            **options,
            **({"n": count} if count > 1 else {}),
        }
        return self.post("chat/completions", body, _answers)[:count]

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[str], Result]) -> Result:
        """What `read` makes of the server's answer to one request.

        Args:
            path: below the client's address.
            read: takes the answer's text; an error in it is the answer's, which is asked again.

        Raises:
            ServerError: the server refused, or did not answer properly in all attempts.
        """
        problem, pause = "", self.first_pause
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(pause * random.uniform(0.75, 1.0))
            pause = min(2 * pause, self.longest_pause)
            try:
                response = self._post(f"{self.url.rstrip('/')}/{path}", body)
            except httpx.RequestError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.status_code in PASSING:
                problem = f"status {response.status_code}: {response.text[:SHOWN]}"
                pause = max(pause, min(_retry_after(response), self.longest_pause))
                continue
            if response.status_code != httpx.codes.OK:
                raise self._error(
                    f"status {response.status_code}: {response.text[:SHOWN]}",
                    "correct what the server names: the model's name, the key, an option",
                )
            try:
                return read(response.text)
            except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
                problem = f"an answer of another form ({error!r}): {response.text[:80]}"
        raise self._error(
            f"{self.attempts} attempts, the last one: {problem}",
            "see whether the server is well, and start again: what was answered is kept",
        )

    def _post(self, address: str, body: Mapping[str, Any]) -> httpx.Response:
        """One whole answer; its time is bounded also where it comes drop by drop."""
        deadline, content = time.monotonic() + self.timeout, b""
        with self.http.stream("POST", address, json=body, headers=self._headers()) as response:
            for chunk in response.iter_bytes():
                content += chunk
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"no whole answer within {self.timeout} s")
                if len(content) > LARGEST:
                    raise httpx.ReadError(f"an answer of more than {LARGEST} bytes")
        return httpx.Response(response.status_code, headers=_plain(response), content=content)

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_variable, "")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _error(self, why: str, fix: str) -> ServerError:
        key = os.environ.get(self.key_variable, "")
        if key:  # some servers repeat it in their answer
            why = why.replace(key, "***")
        return ServerError(f"model {self.model!r} at {self.url}", why, fix)


def url_problems(url: str) -> list[InputError]:
    """What is wrong with an endpoint's address; a key in it would end up in logs and runs."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        return [RecipeError(f"server {url!r}", f"it is no address: {error}", FORM)]
    shown = f"{parts.scheme}://{parts.host}{parts.path}"
    if parts.scheme not in ("http", "https") or not parts.host:
        return [RecipeError(f"server {shown!r}", "it is no http(s) address", FORM)]
    if parts.userinfo or parts.query:
        return [
            RecipeError(
                f"server {shown!r}, with a user or a query in its address",
                "what stands there may be secret, and addresses are written into runs and errors",
                "put the key into an environment variable, and name that with key_variable",
            )
        ]
    return []


def _answers(text: str) -> list[Answer]:
    """The choices of a chat completion."""
    content = json.loads(text)
    found = [
        Answer(
            _text(choice["message"]["content"]),
            "length" if choice.get("finish_reason") == "length" else "stop",
        )
        for choice in content["choices"]
    ]
    if not found:
        raise ValueError("no choices")
    return found


def _text(content: Any) -> str:
    """An answer's text; half characters, which no file can hold, become "?"."""
    if not isinstance(content, str | None):
        raise TypeError(f"content of type {type(content).__name__}")
    return (content or "").encode(errors="replace").decode()


def _plain(response: httpx.Response) -> dict[str, str]:
    """The headers that are still needed once the content is decoded."""
    return {k: v for k, v in response.headers.items() if k.lower() == "retry-after"}


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not say."""
    value = response.headers.get("Retry-After", "")
    try:
        seconds = float(value)
        return seconds if seconds > 0 else 0.0  # not NaN either
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0
