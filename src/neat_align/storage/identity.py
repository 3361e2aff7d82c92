"""When two runs are the same: equal settings, and equal content of what the settings name.

A source is what a setting names and does not hold: `{"kind": …, "name": …, "content": …}`.
Where it lies and what it is called may change; its content may not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

ABSENT = "absent"
REVISION = "revision"  # of a hub id; not known before the first download
SHOWN_TEXT = 160  # characters of a value in an error
DIGEST = re.compile(r"(\w+:[0-9a-f]{12})[0-9a-f]{52}")

Sources = Mapping[str, Mapping[str, Any]]


def identity(settings: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
    """All that decides a result, flat: {"train.learning_rate": 1e-6, "queries.path": "rows:…"}."""
    plain = json.loads(json.dumps(settings))
    named = {place: source["content"] for place, source in sources.items()}
    return {**leaves(without_places(plain, sources)), **leaves(json.loads(json.dumps(named)))}


def differences(before: Mapping[str, Any], now: Mapping[str, Any], sources: Sources) -> list[str]:
    """Tell what differs between two identities, in words with both values.

    Args:
        sources: to tell the names of what has changed.
    """
    keys = sorted(before.keys() | now.keys())
    return [
        f"{key}{_of(key, sources)} ({_shown(before, key)} there, {_shown(now, key)} now)"
        for key in keys
        if before.get(key, ABSENT) != now.get(key, ABSENT) and not _is_unknown(key, before, now)
    ]


def without_places(settings: Mapping[str, Any], places: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings without what stands at the dotted places, which are told by content."""
    keys = {place.partition("[")[0] for place in places}

    def kept(value: Any, place: str) -> Any:
        if not isinstance(value, Mapping):
            return value
        inner = {key: f"{place}.{key}" if place else str(key) for key in value}
        return {key: kept(value[key], where) for key, where in inner.items() if where not in keys}

    return dict(kept(settings, ""))


def merged(known: Sources, now: Sources) -> dict[str, Any]:
    """Return the sources as they are now, with the revisions that only earlier ones tell."""
    return {place: _with_revision(known.get(place, {}), source) for place, source in now.items()}


def leaves(value: Any, place: str = "") -> dict[str, Any]:
    """Flatten a nested mapping to {"train.learning_rate": 1e-6, …}."""
    if not isinstance(value, Mapping) or not value:
        return {place: value} if place else {}
    children = ((f"{place}.{key}" if place else str(key), child) for key, child in value.items())
    return {k: v for where, child in children for k, v in leaves(child, where).items()}


def _is_unknown(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether a hub id's revision was not known on one of the two sides."""
    return key.rpartition(".")[2] == REVISION and (key not in before or key not in now)


def _with_revision(known: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    before, content = known.get("content"), now["content"]
    if not isinstance(before, Mapping) or not isinstance(content, Mapping):
        return dict(now)
    revision = {REVISION: before[REVISION]} if REVISION in before else {}
    return {**now, "content": {**revision, **content}}


def _of(key: str, sources: Sources) -> str:
    place = next((p for p in sources if key == p or key.startswith(f"{p}.")), None)
    name = sources[place]["name"] if place is not None else None
    return f" of {name}" if isinstance(name, str) else ""


def _shown(values: Mapping[str, Any], key: str) -> str:
    text = DIGEST.sub(r"\1", str(values.get(key, ABSENT)))
    return text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
