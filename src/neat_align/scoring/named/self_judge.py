"""Self-Rewarding: the policy judges its own responses.

Paper: Yuan et al. 2024 (arXiv 2401.10020), where the model writes a verdict of up to five
points.
Deviates: the score is the log-odds of one word against another as the next token after the
question, which needs no sampling and is defined for models that cannot write a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neat_align.errors import RewardError
from neat_align.prompts.chat.thinking import answer_of
from neat_align.scoring.base import Bound, NamedScorer, Need, OpenModel, Scorer, Scores
from neat_align.types import Group, Message

if TYPE_CHECKING:
    from neat_align.prompts.chat import PromptFormat

QUESTION = (
    "Query:\n{query}\n\nResponse:\n{response}\n\n"
    "Is this response helpful, honest and harmless? Answer yes or no."
)


@dataclass(frozen=True)
class SelfJudge(NamedScorer):
    """What the policy is asked about each response; `NEATTrainer` gives it the policy.

    Attributes:
        question: with the places {query} and {response}.
        good, bad: the words whose log-odds are the score; only their first tokens count.
    """

    name = "self_judge"
    about = "the policy judges itself: log-odds of a good word after a question"
    needs_policy = True
    own_opinion = True

    question: str = QUESTION
    good: str = "yes"
    bad: str = "no"

    def bind(self, bound: Bound) -> Scorer:
        """Return the scorer that asks the policy."""
        return BoundSelfJudge(self, bound)


class BoundSelfJudge:
    """A scorer: log p(good) − log p(bad) after the question, in nats."""

    name = SelfJudge.name
    own_opinion = True

    def __init__(self, judge: SelfJudge, bound: Bound) -> None:
        self.judge, self.max_tokens = judge, bound.max_tokens
        self.policy: OpenModel = bound[Need.POLICY]
        self.prompt_format: PromptFormat = bound.prompt_format
        # A template may put empty thoughts before every answer.
        self._lead = self.prompt_format.response_ids("", "length")
        self.words = [self._first_token(word) for word in (judge.good, judge.bad)]
        if self.words[0] == self.words[1]:
            raise RewardError(
                f"judge's words {judge.good!r} and {judge.bad!r}",
                "they begin with the same token",
                "choose two words that differ from the first token on",
            )

    def score(self, groups: Sequence[Group]) -> Scores:
        """Score every response by its log-odds."""
        from neat_align.models.layout import layout_of
        from neat_align.models.tokenized import TokenizedGroup

        asked = [
            TokenizedGroup(
                self._question(group, answer_of(r.text)), [[w] for w in self.words], [0.0] * 2, []
            )
            for group in groups
            for r in group.responses
        ]
        pad_id = self.prompt_format.pad_id
        with self.policy() as model:
            logps = layout_of(model, pad_id, self.max_tokens).response_logps(asked)
            odds = [good - bad for good, bad in logps]
        left = iter(odds)
        return [[next(left) for _ in group.responses] for group in groups]

    def _question(self, group: Group, response: str) -> list[int]:
        text = self.judge.question.format(query=group.query.text, response=answer_of(response))
        return self.prompt_format.query_ids([Message("user", text)]) + self._lead

    def _first_token(self, word: str) -> int:
        return self.prompt_format.response_ids(word, "length")[len(self._lead)]
