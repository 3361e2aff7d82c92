"""How likely the reference model finds a response when a prompt asks it to behave.

A reward model that cannot tell a true answer from a false one, or a word from garble, lets
both drift. The model that alignment starts from often can: under a positive prompt it gives
false and broken answers a low probability. Its log-likelihood, added to the reward, keeps
what the model knew, and alone it is a reward that needs no labels at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neat_align.config import NEATSettings
from neat_align.scoring.base import Bound, NamedScorer, Need, OpenModel, Scorer, Scores
from neat_align.types import Group, Response

if TYPE_CHECKING:
    from neat_align.models.tokenized import TokenizedGroup
    from neat_align.prompts.chat import PromptFormat


class Plausibility(NamedScorer):
    """Log-likelihood under the reference, given a positive prompt: nats per token.

    The one scorer that shows a steering prompt to a model: it asks what the well-behaved
    side of the reference model would have said. Bound, it is a `BoundPlausibility`.
    """

    name = "plausibility"
    about = "log-likelihood under the reference, given a positive prompt, per token"
    needs_reference = True
    needs_steering = True
    own_opinion = True

    def bind(self, bound: Bound) -> Scorer:
        """Return the scorer that asks the reference, under the positive prompts."""
        reference, prompts = bound[Need.REFERENCE], bound[Need.STEERING].positive
        return BoundPlausibility(reference, bound.prompt_format, prompts, bound.max_tokens)


class BoundPlausibility:
    """mean_t log π_ref(y_t | positive prompt, x, y_<t), in nats per token.

    Args:
        reference: gives the model that alignment starts from, for a `with` block.
        prompt_format: of that model.
        prompts: positive prompts; each query gets one of them, by its content. Without
            any, the query stands alone.
        max_tokens: tokens per forward pass.
    """

    name = Plausibility.name
    own_opinion = True

    def __init__(
        self,
        reference: OpenModel,
        prompt_format: PromptFormat,
        prompts: Sequence[str],
        max_tokens: int = NEATSettings.max_tokens_per_pass,
    ) -> None:
        self.reference, self.prompt_format = reference, prompt_format
        self.prompts, self.max_tokens = tuple(prompts) or ("",), max_tokens

    def score(self, groups: Sequence[Group]) -> Scores:
        """Score every response by its mean log-likelihood; None for one without a token."""
        from neat_align.models.layout import layout_of

        tokenized = [self._tokenized(group) for group in groups]
        asked = [t for t in tokenized if t.response_ids]
        pad_id = self.prompt_format.pad_id
        with self.reference() as model:
            sums = iter(layout_of(model, pad_id, self.max_tokens).response_logps(asked))
        return [
            self._means(group, next(sums) if t.response_ids else [])
            for group, t in zip(groups, tokenized, strict=True)
        ]

    def _tokenized(self, group: Group) -> TokenizedGroup:
        """Tokenise the group after its positive prompt, without responses that have no token."""
        from neat_align.models.tokenized import TokenizedGroup

        prompt = self.prompts[int(group.query.id, 16) % len(self.prompts)]
        query_ids = self.prompt_format.query_ids(group.query, prompt)
        rows = [ids for r in group.responses if (ids := self._ids(r, group))]
        return TokenizedGroup(query_ids, rows, [0.0] * len(rows), [])

    def _means(self, group: Group, sums: Sequence[float]) -> list[float | None]:
        left = iter(sums)
        counts = [len(self._ids(r, group)) for r in group.responses]
        return [next(left) / count if count else None for count in counts]

    def _ids(self, response: Response, group: Group) -> list[int]:
        if response.token_ids:
            return list(response.token_ids)
        return self.prompt_format.response_ids(response.text, response.finish, group.query)
