"""Check a server's address, and build the URLs that requests go to."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from neat_align.errors import InputError, RecipeError

FORM = "write it up to the version, e.g. http://localhost:8000/v1"
ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/models")
VERSIONED = re.compile(r"/v\d+\w*(/|$)")
KNOWN_QUERY = frozenset({"api-version", "api_version"})
"""Parameters of an address that are no secrets: Azure wants its version there."""


@dataclass(frozen=True)
class Address:
    """A server's address: requests go to `base` + "/" + endpoint + `query`."""

    base: str
    query: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """Make an address from a URL that may end in a slash, or in an endpoint."""
        base, mark, query = url.strip().partition("?")
        base = base.rstrip("/")
        for endpoint in ENDPOINTS:
            base = base.removesuffix(endpoint).rstrip("/")
        return cls(base, mark + query)

    def to(self, path: str) -> str:
        return f"{self.base}/{path}{self.query}"

    @property
    def versioned(self) -> Address | None:
        """This address with /v1 appended; None if it names a version already."""
        if VERSIONED.search(httpx.URL(self.base).path):
            return None
        return Address(f"{self.base}/v1", self.query)


def url_problems(url: str) -> list[InputError]:
    """Return what is wrong with an address; secrets in it would end up in logs and runs."""
    url = url.strip()
    try:
        parts = httpx.URL(url)
        hidden = parts.userinfo or parts.fragment or set(parts.params) - KNOWN_QUERY
    except (httpx.InvalidURL, ValueError):
        why = "it is no address: its host, port or characters cannot be"
        return [RecipeError(f"server {_without_secrets(url)!r}", why, FORM)]
    shown = _without_secrets(url)
    if parts.scheme not in ("http", "https") or not parts.host:
        return [RecipeError(f"server {shown!r}", "it is no http(s) address", FORM)]
    if hidden:
        return [
            RecipeError(
                f"server {shown!r}, with a user, a query or a fragment in its address",
                "what stands there may be secret, and addresses are written into runs and errors",
                "put the key into an environment variable, and name that with key_variable",
            )
        ]
    return []


def _without_secrets(url: str) -> str:
    """Remove user, query and fragment from a URL, even from one that cannot be parsed."""
    plain = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"(//)?[^/]*@", r"\1", plain)
