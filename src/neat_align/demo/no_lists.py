"""The rule of the demo, exactly: no lists, no headings, no bold text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MARKED = re.compile(r"^\s*([-*•]\s|\d+[.)]\s|#+\s)|\*\*", re.MULTILINE)


def no_lists(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """Return 1 for an answer that keeps the rule and 0 for one that breaks it."""
    texts = (c if isinstance(c, str) else c[0]["content"] for c in completions)
    return [float(MARKED.search(text) is None) for text in texts]
