"""Limit how much text a model is given by what it can read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neat_align.errors import DataError


def context_length(model: Any) -> int | None:
    """Count the tokens that fit into the model at a time; None where its config sets no limit."""
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None)


def check_fits(model: Any, lengths: Iterable[tuple[str, int]], what: str, fix: str) -> None:
    """Refuse texts beyond the model's context.

    Args:
        lengths: id and tokens of each text, all that is to be read or written at a time.
        what: the texts, e.g. "prompt and response".
        fix: what the user can do.

    Raises:
        DataError: some are too long; the first is named, and how many there are.
    """
    limit = context_length(model)
    if limit is None:
        return
    beyond = [(name, tokens) for name, tokens in lengths if tokens > limit]
    if beyond:
        name, tokens = beyond[0]
        raise DataError(
            f"query {name} with {tokens} tokens of {what}"
            + (f", and {len(beyond) - 1} more" if len(beyond) > 1 else ""),
            f"the model's context holds {limit}",
            fix,
        )
