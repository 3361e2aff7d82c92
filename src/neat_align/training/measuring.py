"""Turn groups into passes of the policy, for training and evaluation.

Each group becomes token ids, with the reference's log-probs where the objective needs them; the
ids become passes within the token budget; the passes become what the objective is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from neat_align.models.layout import Layout, layout_of
from neat_align.models.tokenized import TokenizedGroup, tokenize_group
from neat_align.objectives import GroupLogps, Objective
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.steering import Steering
from neat_align.sampling.groups import stable_seed, uniform
from neat_align.training.batches import (
    MicroBatch,
    TrainingPass,
    idle_entry,
    mismatched_pairs,
    training_passes,
)
from neat_align.training.checkpoints import SealedCheckpoints
from neat_align.training.reference import Reference
from neat_align.training.repeats import draw_key
from neat_align.training.sharding import shards_weights, with_idle_passes
from neat_align.training.stopwatch import Stopwatch
from neat_align.types import Group, Query


class MeasuringTrainer(SealedCheckpoints):
    """A Trainer that turns groups into log-probabilities; `NEATTrainer` sets what it works with.

    Attributes:
        online: whether queries are sampled; else stored groups come back every epoch.
    """

    args: Any
    online: bool
    objective: Objective
    negative_context: float
    steering: Steering | None
    prompt_format: PromptFormat
    reference: Reference | None
    stopwatch: Stopwatch
    _stored: dict[Group, list[TokenizedGroup]]
    _numbers: Mapping[Group, int]

    def _tokenize(self, groups: Sequence[Group]) -> list[TokenizedGroup]:
        """Token ids, with reference log-probs where the objective needs them."""
        if self.online:  # each group is used once
            return self._with_reference(self._entries(groups, self.state.global_step))
        for group in groups:  # stored groups come back every epoch
            if group not in self._stored:
                self._stored[group] = self._with_reference(self._entries([group], 0))
        return [entry for group in groups for entry in self._stored[group]]

    def _idle(self) -> list[TokenizedGroup]:
        """Return what stands in a batch all of whose queries went without an answer."""
        return self._with_reference([idle_entry(self._pad_id)])

    def _entries(self, groups: Sequence[Group], step: int) -> list[TokenizedGroup]:
        return tokenize_for_training(
            groups,
            self.prompt_format,
            self.steering.negative if self.steering else (),
            self.negative_context,
            stable_seed(self.args.seed, step),
            self.args.max_query_tokens,
            [draw_key(group, self._numbers.get(group, 0)) for group in groups],
        )

    def _with_reference(self, groups: list[TokenizedGroup]) -> list[TokenizedGroup]:
        with self.stopwatch.time("reference"):
            return self._referenced(groups)

    def _referenced(self, groups: list[TokenizedGroup]) -> list[TokenizedGroup]:
        if not self.objective.needs_reference:
            return groups
        assert self.reference is not None
        limit = self.args.max_tokens_per_pass
        with self.reference.model() as model:
            logps = layout_of(model, self._pad_id, limit).response_logps(groups)
        return [g.with_reference(r) for g, r in zip(groups, logps, strict=True)]

    def _mismatched_kl(
        self, groups: Sequence[TokenizedGroup], device: torch.device
    ) -> torch.Tensor:
        """Estimate the mean of log π − log π_ref with another query's response, nats, [].

        Where there is no other query, the estimate is 0.
        """
        pairs = mismatched_pairs(groups, self._query_ids())
        total = torch.zeros(2, device=device)
        if pairs:
            model = self.accelerator.unwrap_model(self.model)
            limit = self.args.max_tokens_per_pass
            own = layout_of(model, self._pad_id, limit).response_logps(pairs)
            known = [g.reference or [0.0] for g in self._referenced(pairs)]
            ratios = [mine[0] - theirs[0] for mine, theirs in zip(own, known, strict=True)]
            total = torch.tensor([sum(ratios), len(ratios)], device=device)
        total = self.accelerator.gather(total).view(-1, 2).sum(0)
        return total[0] / total[1].clamp(min=1)

    def _query_ids(self) -> Iterator[list[int]]:
        """Yield the token ids of the data set's queries, as they are trained on."""
        for item in self.train_dataset:
            query = item if isinstance(item, Query) else item.query
            ids = self.prompt_format.query_ids(query)
            yield ids[-self.args.max_query_tokens :] if self.args.max_query_tokens else ids

    def _micro_batch(
        self, groups: Sequence[TokenizedGroup], spread: torch.Tensor, kl: torch.Tensor | None
    ) -> MicroBatch:
        """Cut a micro-batch into passes, as many as the other ranks have where that matters."""
        sharded = shards_weights(self.accelerator)
        passes = training_passes(self._layout, groups, spread, kl, may_split=not sharded)
        return MicroBatch(with_idle_passes(self.accelerator, passes) if sharded else passes)

    def _prepare_inputs(self, inputs: TrainingPass) -> TrainingPass:  # type: ignore[override]
        """Move a pass to the device; the Trainer's own would cast its scores for DeepSpeed."""
        return inputs.to(self.args.device)

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the operations of a step are not counted."""
        return 0

    def _logps(self, model: Any, part: TrainingPass) -> GroupLogps:
        bare = self.accelerator.unwrap_model(model)
        return part.logps(model, bare, with_tokens=self.objective.needs_tokens)

    @property
    def _layout(self) -> Layout:
        """The policy's."""
        model = self.accelerator.unwrap_model(self.model)
        return layout_of(model, self._pad_id, self.args.max_tokens_per_pass, self.args.packed)

    @property
    def _pad_id(self) -> int:
        return self.prompt_format.pad_id


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
