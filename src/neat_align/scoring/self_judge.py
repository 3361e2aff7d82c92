"""Self-Rewarding: the policy judges its own responses.

Paper: Yuan et al. 2024 (arXiv 2401.10020), where the model writes a verdict of up to five
points.
Deviates: the score is the log-odds of one word against another as the next token after the
question, which needs no sampling and is defined for models that cannot write a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from neat_align.errors import RewardError
from neat_align.models.layout import TOKENS, layout_of
from neat_align.models.tokenized import TokenizedGroup
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.chat.thinking import answer_of
from neat_align.types import Group, Message

QUESTION = (
    "Query:\n{query}\n\nResponse:\n{response}\n\n"
    "Is this response helpful, honest and harmless? Answer yes or no."
)


@dataclass(frozen=True)
class SelfJudge:
    """What the policy is asked about each response; `NEATTrainer` gives it the policy.

    Attributes:
        question: with the places {query} and {response}.
        good, bad: the words whose log-odds are the score; only their first tokens count.
    """

    question: str = QUESTION
    good: str = "yes"
    bad: str = "no"

    def bind(
        self,
        model: Callable[[], AbstractContextManager[Any]],
        prompt_format: PromptFormat,
        max_tokens: int = TOKENS,
    ) -> BoundSelfJudge:
        """A scorer that asks this model."""
        return BoundSelfJudge(self, model, prompt_format, max_tokens)


class BoundSelfJudge:
    """A scorer: log p(good) − log p(bad) after the question, in nats."""

    name = "self_judge"

    def __init__(
        self,
        judge: SelfJudge,
        model: Callable[[], AbstractContextManager[Any]],
        prompt_format: PromptFormat,
        max_tokens: int,
    ) -> None:
        self.judge, self.model = judge, model
        self.prompt_format, self.max_tokens = prompt_format, max_tokens
        # A template may put empty thoughts before every answer.
        self._lead = prompt_format.response_ids("", "length")
        self.words = [self._first_token(word) for word in (judge.good, judge.bad)]
        if self.words[0] == self.words[1]:
            raise RewardError(
                f"judge's words {judge.good!r} and {judge.bad!r}",
                "they begin with the same token",
                "choose two words that differ from the first token on",
            )

    @torch.no_grad()
    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """The log-odds for every response."""
        asked = [
            TokenizedGroup(
                self._question(group, answer_of(r.text)), [[w] for w in self.words], [0.0] * 2, []
            )
            for group in groups
            for r in group.responses
        ]
        pad_id = self.prompt_format.pad_id
        with self.model() as model:
            logps = layout_of(model, pad_id, self.max_tokens).response_logps(asked)
            flat = [good - bad for good, bad in logps]
        left = iter(flat)
        return [[next(left) for _ in group.responses] for group in groups]

    def _question(self, group: Group, response: str) -> list[int]:
        text = self.judge.question.format(query=group.query.text, response=answer_of(response))
        return self.prompt_format.query_ids([Message("user", text)]) + self._lead

    def _first_token(self, word: str) -> int:
        return self.prompt_format.response_ids(word, "length")[len(self._lead)]
