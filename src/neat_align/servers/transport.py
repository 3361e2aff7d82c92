"""Exchange one HTTP request for its answer, bounded in time and size."""

from __future__ import annotations

import email.utils
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from neat_align.errors import InputError, RecipeError

LARGEST = 1 << 26  # bytes of an answer
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Reply:
    """A server's whole answer."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def retry_after(self) -> float:
        """Seconds that the server asks to wait; 0 if it does not say."""
        value = self.headers.get("retry-after", "")
        try:
            seconds = float(value)
            return seconds if seconds > 0 else 0.0  # not NaN either
        except ValueError:
            pass
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
        except (TypeError, ValueError, OverflowError):
            return 0.0


def open_http(timeout: float) -> httpx.Client:
    """Open an HTTP client that refuses cookies: none is needed, and httpx fails on odd ones.

    Raises:
        RecipeError: the environment's variables for proxies or certificates cannot be used.
    """
    # httpx reads these variables, and fails with errors of many kinds.
    try:
        if not Path(os.environ.get("SSL_CERT_DIR") or ".").is_dir():
            raise FileNotFoundError  # else certificates would only later be found missing
        return httpx.Client(
            timeout=timeout,
            limits=httpx.Limits(max_connections=None),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
    except Exception as error:
        problem = _environment_problem(error)
    raise problem  # without the cause, which may show a proxy's password


def environment_problems() -> list[InputError]:
    """Return what is wrong with the environment's proxies and certificates."""
    try:
        open_http(1.0).close()
    except RecipeError as error:
        return [error]
    return []


def exchange(
    http: httpx.Client, method: str, url: str, body: Any, headers: Mapping[str, str], limit: float
) -> Reply:
    """Send a request and return its whole answer within `limit` seconds, however slowly it comes.

    Raises:
        httpx.RequestError: no whole answer came.
    """
    deadline, content = time.monotonic() + limit, bytearray()
    more = {} if body is None else {"json": body}
    with http.stream(method, url, headers=dict(headers), **more) as response:
        for chunk in response.iter_bytes():
            content += chunk
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout(f"no whole answer within {limit:g} s")
            if len(content) > LARGEST:
                raise httpx.ReadError(f"an answer of more than {LARGEST} bytes")
    kept = {k.lower(): v for k, v in response.headers.items()}
    return Reply(response.status_code, bytes(content), kept)


def _used_proxies() -> list[str]:
    """List the proxy variables that are set, without values, which may hold passwords."""
    return [name for name in _set(PROXIES) if "NO_PROXY" not in name.upper()]


def what_failed(error: httpx.RequestError) -> str:
    """Describe a request that got no answer, and the proxy that it went through."""
    proxies = _used_proxies()
    through = f" (through the proxy of ${proxies[0]})" if proxies else ""
    return f"{type(error).__name__}{through}: {error}"


def _environment_problem(error: Exception) -> RecipeError:
    if isinstance(error, OSError | ssl.SSLError):
        names = _set(CERTIFICATES)
        why = "what they name cannot be used: there is no such file, or no certificate in it"
        fix = "let them name a file (or directory) of certificates in PEM, or unset them"
    else:
        names = _set(PROXIES)
        why = (
            "SOCKS proxies need httpx[socks], which is not installed"
            if isinstance(error, ImportError)
            else f"they name no proxy that can be used ({type(error).__name__})"
        )
        fix = "write http://host:port, or unset them; NO_PROXY is a list of hosts"
    given = f"the environment variables {', '.join(names) or 'of proxies and certificates'}"
    return RecipeError(f"{given} (values not shown)", why, fix)


def _set(names: tuple[str, ...]) -> list[str]:
    return [n for name in names for n in (name, name.lower()) if os.environ.get(n)]
