"""Turn groups and documents into token ids, query and responses apart.

`layout` lays them out for a forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from neat_align.errors import DataError
from neat_align.prompts.chat import PromptFormat
from neat_align.types import Document, Group, Source


@dataclass(frozen=True)
class TokenizedGroup:
    """One group as token ids, with what is known of its K responses.

    Attributes:
        query_ids: the clean query (or, where `negative_context` asks for it, the query
            with a negative prompt before it).
        response_ids: K ragged lists; the turn's end closes the finished ones.
        scores: K scores, higher is better.
        sources: K sources.
        reference: K sums of response-token log-probs under the reference model, in nats.
        weight: share of the group in the mean over groups (1 unless the same group
            stands in the batch twice).
        clean: whether nothing stands before the query; False in a negative context.
    """

    query_ids: list[int]
    response_ids: list[list[int]]
    scores: list[float]
    sources: list[Source]
    reference: list[float] | None = None
    weight: float = 1.0
    clean: bool = True

    def with_reference(self, reference: list[float]) -> TokenizedGroup:
        """Return the group with the reference's sums."""
        return replace(self, reference=reference)


def tokenize_group(
    group: Group,
    prompt_format: PromptFormat,
    steering: str = "",
    max_query_tokens: int | None = None,
) -> TokenizedGroup:
    """Turn a group into token ids; sampled ids are kept as they were drawn.

    A query longer than `max_query_tokens` loses its beginning: its end is what is asked.

    Raises:
        DataError: a response without a single token.
    """
    query_ids = prompt_format.query_ids(group.query, steering)
    response_ids = [
        list(r.token_ids)
        if r.token_ids
        else prompt_format.response_ids(r.text, r.finish, group.query)
        for r in group.responses
    ]
    if not all(response_ids):
        raise DataError(
            f"an empty response that did not end itself (query {group.query.id})",
            "it has no token to train on",
            "raise max_new_tokens, or drop empty responses",
        )
    return TokenizedGroup(
        query_ids=query_ids[-max_query_tokens:] if max_query_tokens else query_ids,
        response_ids=response_ids,
        scores=[float("nan") if r.score is None else r.score for r in group.responses],
        sources=[r.source for r in group.responses],
    )


def document_ids(document: Document, prompt_format: PromptFormat) -> tuple[list[int], list[int]]:
    """Return the token ids of a document's prompt (none for plain text), and of its text."""
    query = document.query
    if query is None:
        return [], prompt_format.text_ids(document.text)
    answer = prompt_format.response_ids(document.text, "stop", query)
    return prompt_format.query_ids(query, document.steering), answer
