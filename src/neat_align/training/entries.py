"""Turn groups into token ids, with the reference's log-probs where the objective needs them.

Training and evaluation cut their passes from these entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from neat_align.models.layout import layout_of
from neat_align.models.tokenized import TokenizedGroup, tokenize_group
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.groups import stable_seed, uniform
from neat_align.training.batches import idle_entry, mismatched_pairs
from neat_align.training.config import NEATConfig
from neat_align.training.records import Records
from neat_align.training.reference import Reference
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group, Query


@dataclass
class Entries:
    """Makes the entries of groups: one per group, or two where it stands in a context as well.

    Attributes:
        records: the training data.
        reference: what the objective compares with; None where it compares with none.
        negative_prompts, negative_context: of the steering, and the share of groups that are
            trained on under one of them as well.
        numbers: which of several stored groups of one query a group is, see `repeat_numbers`.
        known: entries of stored groups; None where each group is used once.
    """

    records: Records
    args: NEATConfig
    prompt_format: PromptFormat
    reference: Reference | None
    negative_prompts: Sequence[str]
    negative_context: float
    stopwatch: Stopwatch
    numbers: Mapping[Group, int] = field(default_factory=dict, init=False)
    known: dict[Group, list[TokenizedGroup]] | None = field(default=None, init=False)

    def keep(self) -> None:
        """Keep the entries of groups that come back every epoch."""
        self.numbers, self.known = repeat_numbers(self.records), {}

    def tokenized(self, groups: Sequence[Group], step: int) -> list[TokenizedGroup]:
        """Return a micro-batch of entries, with the reference's log-probs.

        Args:
            step: decides, with the seed, on the contexts of groups that are used once.
        """
        if self.known is None:
            idle = [idle_entry(self.prompt_format.pad_id)]
            return self._timed(self.of(groups, step) or idle)
        for group in groups:
            if group not in self.known:
                self.known[group] = self._timed(self.of([group], 0))
        return [entry for group in groups for entry in self.known[group]]

    def of(self, groups: Sequence[Group], step: int) -> list[TokenizedGroup]:
        """Return token ids alone."""
        return tokenize_for_training(
            groups,
            self.prompt_format,
            self.negative_prompts,
            self.negative_context,
            stable_seed(self.args.seed, step),
            self.args.max_query_tokens,
            [draw_key(group, self.numbers.get(group, 0)) for group in groups],
        )

    def referenced(self, entries: list[TokenizedGroup]) -> list[TokenizedGroup]:
        """Add the reference's log-probs, where there is one to compare with."""
        if self.reference is None:
            return entries
        with self.reference.model() as model:
            logps = self._response_logps(model, entries)
        return [e.with_reference(found) for e, found in zip(entries, logps, strict=True)]

    def mismatched_kl(
        self, entries: Sequence[TokenizedGroup], policy: Any, accelerator: Any
    ) -> torch.Tensor:
        """Estimate the mean of log π − log π_ref with another query's response, nats, [].

        Where there is no other query, the estimate is 0. All ranks call it together.

        Args:
            policy: without wrappers.
        """
        pairs = mismatched_pairs(entries, self._query_ids())
        total = torch.zeros(2, device=accelerator.device)
        if pairs:
            own = self._response_logps(policy, pairs)
            known = [pair.reference or [0.0] for pair in self.referenced(pairs)]
            ratios = [mine[0] - theirs[0] for mine, theirs in zip(own, known, strict=True)]
            total = torch.tensor([sum(ratios), len(ratios)], device=accelerator.device)
        total = accelerator.gather(total).view(-1, 2).sum(0)
        return total[0] / total[1].clamp(min=1)

    def _timed(self, entries: list[TokenizedGroup]) -> list[TokenizedGroup]:
        with self.stopwatch.time("reference"):
            return self.referenced(entries)

    def _response_logps(self, model: Any, entries: list[TokenizedGroup]) -> list[list[float]]:
        pad_id, limit = self.prompt_format.pad_id, self.args.max_tokens_per_pass
        return layout_of(model, pad_id, limit).response_logps(entries)

    def _query_ids(self) -> Iterator[list[int]]:
        """Yield the token ids of the data set's queries, as they are trained on."""
        for item in self.records:
            query = item if isinstance(item, Query) else item.query
            ids = self.prompt_format.query_ids(query)
            yield ids[-self.args.max_query_tokens :] if self.args.max_query_tokens else ids


def tokenize_for_training(
    groups: Sequence[Group],
    prompt_format: PromptFormat,
    negative_prompts: Sequence[str],
    negative_context: float,
    seed: int,
    max_query_tokens: int | None,
    keys: Sequence[str] | None = None,
) -> list[TokenizedGroup]:
    """Make one entry per group, or two of half weight: clean, and in a negative context.

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


def repeat_numbers(groups: Iterable[Group]) -> dict[Group, int]:
    """Count the groups of the same query before each one; the first ones are left out.

    Equal groups count as one.
    """
    seen: Counter[str] = Counter()
    numbers: dict[Group, int] = {}
    often = {i for i, count in Counter(group.query.id for group in groups).items() if count > 1}
    for group in groups:
        if group.query.id in often and group not in numbers:
            numbers[group] = seen[group.query.id]
            seen[group.query.id] += 1
    return numbers


def draw_key(group: Group, number: int = 0) -> str:
    """Return what seeds a group's draws: its query, and its number among that query's groups."""
    return f"{group.query.id}#{number}" if number else group.query.id
