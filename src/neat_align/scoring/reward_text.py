"""What a reward model reads of a query and a response, as token ids.

A model with a chat template reads the finished conversation, token for token as the template
writes it, with what stands behind the answer: its head was trained there. A response that was
cut is closed like any other, since no reward model has learnt to read open turns; that it was
cut is seen in its `finish`. An encoder without a template reads a pair: `[CLS] query [SEP]
answer [SEP]`. Thoughts (`<think>…</think>`) are no part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from neat_align.models.tokenized import TokenizedGroup
from neat_align.prompts.chat import PromptFormat, plain_text
from neat_align.prompts.chat.thinking import answer_of
from neat_align.types import Group, Query

MARK = "neat_reward_text"
"""Config entry that says what a reward model was trained on: `CONVERSATION`, or `RESPONSE`, the
query's and the response's tokens up to the end of the turn, as before version 0.2."""
CONVERSATION, RESPONSE = "conversation", "response"


def reads_pairs(tokenizer: Any) -> bool:
    """Tell whether it is an encoder's: no chat template, but tokens that frame two texts."""
    has_template = getattr(tokenizer, "chat_template", None) is not None
    return not has_template and None not in (tokenizer.cls_token_id, tokenizer.sep_token_id)


class ConversationRows:
    """Finished conversations as token ids.

    Args:
        tokenizer: of the reward model.
        trained_on: `CONVERSATION`, or `RESPONSE`.
    """

    def __init__(self, tokenizer: Any, trained_on: str = CONVERSATION) -> None:
        self.prompt_format = PromptFormat(tokenizer, is_policys=False)
        self.trained_on = trained_on

    def row(self, query: Query, text: str) -> list[int]:
        """Turn one finished conversation into token ids."""
        if self.trained_on == RESPONSE:
            end = self.prompt_format.response_ids(text, "stop", query)
            return self.prompt_format.query_ids(query) + end
        return self.prompt_format.conversation_ids(query, text)

    def group(self, group: Group) -> TokenizedGroup:
        """Tokenise a group's conversations: what all begin with, and how each goes on.

        They are rendered whole and cut afterwards, so a template may write a query in another
        way once it is answered.
        """
        rows = [self.row(group.query, answer_of(r.text)) for r in group.responses]
        shared = min(_common(rows), *(len(row) - 1 for row in rows))
        return TokenizedGroup(
            rows[0][:shared], [row[shared:] for row in rows], [0.0] * len(rows), []
        )


class PairRows:
    """Query and answer as an encoder's pair.

    A query of one user turn is its text; a longer conversation is written as a transcript,
    `Human: …`, `Assistant: …`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def rows(self, groups: Sequence[Group]) -> list[dict[str, list[int]]]:
        """Make the model's inputs per response, unpadded."""
        return [
            dict(
                self.tokenizer(
                    _first(group.query),
                    answer_of(response.text),
                    split_special_tokens=True,  # texts spell no special token
                    return_attention_mask=False,
                )
            )
            for group in groups
            for response in group.responses
        ]


def _common(rows: Sequence[list[int]]) -> int:
    """Count the token ids that all rows begin with."""
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False))
    return sum(1 for _ in columns)


def _first(query: Query) -> str:
    if len(query.messages) == 1 and not query.tools:
        return query.messages[0].content
    return plain_text(query, query.messages)
