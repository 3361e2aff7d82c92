"""Check that a tokenizer and a model belong together."""

from __future__ import annotations

from typing import Any

from neat_align.errors import InputError, ModelError

SHOWN = 3
"""Tokens named in an error."""


def vocabulary_problems(model: Any, tokenizer: Any) -> list[InputError]:
    """Find whether the tokenizer gives ids which the model has no embedding for.

    Special tokens that no text holds may lie beyond (Gemma 3 has one); not those that end a
    text or that the chat template writes.
    """
    embeddings = model.get_input_embeddings()
    rows = getattr(embeddings, "num_embeddings", None) or embeddings.weight.shape[0]
    if len(tokenizer) <= rows:
        return []
    spared = set(tokenizer.all_special_ids) - {tokenizer.eos_token_id, tokenizer.bos_token_id}
    template = str(tokenizer.chat_template or "")
    beyond = [
        token
        for token, i in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        if i >= rows and (i not in spared or token in template)
    ]
    if not beyond:
        return []
    shown = ", ".join(map(repr, beyond[:SHOWN])) + (" …" if len(beyond) > SHOWN else "")
    return [
        ModelError(
            f"a tokenizer with {len(tokenizer)} tokens and a model with {rows} embeddings",
            f"there is no embedding for {shown}",
            "give the tokenizer that the model was made with, or call resize_token_embeddings "
            "and save the model",
        )
    ]
