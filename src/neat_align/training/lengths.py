"""Queries too long for the model are told before training, not in the middle of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from neat_align.models.context import check_fits, context_length
from neat_align.prompts.chat import PromptFormat
from neat_align.training.config import NEATConfig
from neat_align.types import Query

FRAME = 128  # tokens that a template may put around the texts of a conversation, at most


def check_queries_fit(
    model: Any,
    queries: Sequence[Query],
    prompt_format: PromptFormat,
    steering_prompts: Sequence[str],
    args: NEATConfig,
) -> None:
    """Make sure that every query, steered and answered, fits into the model.

    Raises:
        DataError: some do not.
    """
    limit = context_length(model)
    if limit is None:
        return
    steering = max(steering_prompts, key=len, default="")
    room = limit - args.max_new_tokens - FRAME - len(steering.encode())

    def lengths() -> Iterator[tuple[str, int]]:
        for query in queries:
            # A token spells a byte at least, so most queries need not be tokenised.
            size = sum(len(m.content.encode()) + FRAME for m in query.messages)
            if size > room or query.tools or any(m.extra for m in query.messages):
                prompt = len(prompt_format.query_ids(query, steering))
                yield query.id, prompt + args.max_new_tokens

    check_fits(
        model,
        lengths(),
        f"prompt and response (steering prompt and max_new_tokens={args.max_new_tokens} included)",
        "leave such queries out, shorten them, or lower max_new_tokens",
    )
