"""From queries to scored, tokenised groups: the part of training that needs no gradient.

The online loop calls it on fresh queries every `refresh_every` steps, the offline path on
stored groups; both meet in `TokenizedGroup`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from neat_align.errors import DataError
from neat_align.models.tokenized import TokenizedGroup, tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.groups import GroupMaker, stable_seed, uniform
from neat_align.scoring import ScorerSet
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group, Query


@dataclass
class ScoredGroupMaker(GroupMaker):
    """A group maker whose groups are scored, timed and counted.

    Attributes:
        scorers: score every response on the clean query.
        responses: sampled so far.
    """

    scorers: ScorerSet = field(kw_only=True)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    responses: int = 0

    def make(self, queries: Sequence[Query], seed: int) -> list[Group]:
        """Scored groups in the order of the queries, each whole.

        A query without all its responses, or without a score that it is owed, has none: see
        `unanswered`.
        """
        with self.stopwatch.time("sampling"):
            groups = self.drawn(queries, seed)
        drawn = [r for group in groups for r in group.responses[: self.plan.size]]
        self.responses += len(drawn)
        tokens = sum(len(r.token_ids or ()) for r in drawn)
        with self.stopwatch.time("scoring"):
            scored = self.scorers.score(groups) if groups else []
        for phase in ("sampling", "scoring"):
            self.stopwatch.count(phase, tokens)
        return scored

    @property
    def unanswered(self) -> dict[str, str]:
        """Why queries have no group, by their id."""
        told = [getattr(sampler, "unanswered", {}) for sampler in (self.policy, self.base)]
        return {**told[0], **told[1], **self.scorers.unscored}


def tokenize_for_training(
    groups: Sequence[Group],
    prompt_format: PromptFormat,
    negative_prompts: Sequence[str],
    negative_context: float,
    seed: int,
    max_query_tokens: int | None,
    keys: Sequence[str] | None = None,
) -> list[TokenizedGroup]:
    """Each group as one entry, or as two of half weight: clean, and in a negative context.

    Which groups get the second one, and under which negative prompt, depends on the seed
    and the group's key alone: its query's id, where no others are given.
    """
    tokenized: list[TokenizedGroup] = []
    for group, key in zip(groups, keys or [g.query.id for g in groups], strict=True):
        clean = tokenize_group(group, prompt_format, max_query_tokens=max_query_tokens)
        if uniform("context", seed, key) >= negative_context:
            tokenized.append(clean)
            continue
        pick = stable_seed("context-prompt", seed, key) % len(negative_prompts)
        steered = tokenize_group(group, prompt_format, negative_prompts[pick], max_query_tokens)
        tokenized += [replace(clean, weight=0.5), replace(steered, weight=0.5, clean=False)]
    return tokenized


def trainable(groups: Sequence[Group], warn: Callable[[str], None]) -> list[Group]:
    """The groups without responses that have no token; says how many responses it dropped.

    Raises:
        DataError: no response is left of a group.
    """
    kept, dropped = [], 0
    for group in groups:
        good = tuple(r for r in group.responses if r.token_ids or r.text or r.finish == "stop")
        dropped += len(group.responses) - len(good)
        if not good:
            raise DataError(
                f"a group of empty responses (query {group.query.id})",
                "there is no token to train on",
                "raise max_new_tokens, or look at what the model answers with `neat sample`",
            )
        kept.append(group if len(good) == len(group.responses) else Group(group.query, good))
    if dropped:
        warn(f"{dropped} empty responses left out of {len(groups)} groups")
    return kept
