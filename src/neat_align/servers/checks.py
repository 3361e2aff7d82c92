"""Check an endpoint's settings and environment before anything is asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from neat_align.errors import InputError, RecipeError
from neat_align.servers.address import url_problems
from neat_align.servers.secrets import key_problems, secret_names
from neat_align.servers.transport import environment_problems

RESERVED = frozenset(
    {"model", "messages", "n", "stream", "max_tokens", "max_completion_tokens", "temperature",
     "top_p", "top_k", "min_p", "seed", "stop"}
)  # fmt: skip
"""Fields of a request that have settings of their own."""


def client_problems(
    url: str, key_variable: str, extra_body: Mapping[str, Any] | None = None
) -> list[InputError]:
    """Return what is wrong with an endpoint's settings and environment; ask it nothing."""
    problems = url_problems(url) + key_problems(key_variable) + environment_problems()
    extra = extra_body or {}
    for name in sorted(RESERVED & extra.keys()):
        why = "it has a setting of its own, and would be said twice"
        problems.append(RecipeError(f"extra_body with {name!r}", why, "leave it out there"))
    try:
        json.dumps(extra, allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(RecipeError("extra_body", f"it is no JSON: {error}", "write JSON"))
    if secret := secret_names(extra):
        given = f"extra_body with {', '.join(map(repr, secret))}"
        why = "it may be secret, and what is asked is written into runs"
        problems.append(RecipeError(given, why, "put the key into an environment variable"))
    return problems
