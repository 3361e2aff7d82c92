"""What `neat sample` and `neat score` do for one shard: here, or in a worker elsewhere."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.workflow.groups_target import GroupsTarget

if TYPE_CHECKING:
    from neat_align.data.groups.flags import Filter
    from neat_align.prompts.steering import Steering
    from neat_align.sampling.job import SamplingJob
    from neat_align.scoring import Bound
    from neat_align.types import Group


@dataclass(frozen=True)
class SampleWork:
    """Samples groups for the queries of shards; called, it loads the model."""

    job: SamplingJob
    queries: Path
    output: Path
    shards: int
    settings: Mapping[str, Any]
    progress: Callable[[int], None] | None = None

    def __call__(self) -> Callable[[int], str]:
        from neat_align.data import DataSpec, read_queries
        from neat_align.data.groups.missing import Told
        from neat_align.data.groups.shards import Shard

        maker = self.job.load(read_queries(DataSpec(self.queries)))

        def write(index: int) -> str:
            target = GroupsTarget(self.output, Shard(index, self.shards))
            advance = self.progress or (lambda count: None)
            make = maker(target.journal)
            told = Told(make.unanswered, make.server)
            return target.write_queries(self.queries, make, advance, told, self.settings)

        return write


@dataclass(frozen=True)
class ScoreWork:
    """Scores the parts of shards; called, it loads the rewards.

    Attributes:
        reference, steering: for rewards that need them.
        data_answers: the answers that came with a query join its group.
    """

    rewards: tuple[str, ...]
    weights: tuple[float, ...] | None
    kept: Filter
    groups: Path
    output: Path
    shards: int
    settings: Mapping[str, Any]
    device: str = "auto"
    dtype: str = "auto"
    reference: str | None = None
    steering: Steering | None = None
    data_answers: bool = False

    def __call__(self) -> Callable[[int], tuple[str, dict[str, int]]]:
        from neat_align.data.groups.shards import Shard
        from neat_align.sampling.groups import with_answers
        from neat_align.scoring import ScorerSet, bind_scorer, resolve_scorer

        bound = self._bound()
        rewards = [
            bind_scorer(resolve_scorer(name, device=self.device, dtype=self.dtype), bound)
            for name in self.rewards
        ]
        scorers = ScorerSet(rewards, self.weights)

        def make(groups: Sequence[Group]) -> tuple[list[Group], Counter[str]]:
            groups = [with_answers(g) for g in groups] if self.data_answers else groups
            return self.kept(scorers.score(groups)) if groups else ([], Counter())

        def write(index: int) -> tuple[str, dict[str, int]]:
            target = GroupsTarget(self.output, Shard(index, self.shards))
            told, left_out = target.write_groups(self.groups, make, scorers.unscored, self.settings)
            return f"{told}{_told_beside(scorers)}", dict(left_out)

        return write

    def _bound(self) -> Bound:
        """Load what rewards may need."""
        from neat_align.models import load_causal_lm, load_tokenizer
        from neat_align.prompts.chat import PromptFormat
        from neat_align.scoring import Bound

        if self.reference is None:
            return Bound(steering=self.steering)
        model = load_causal_lm(self.reference, self.dtype, self.device).eval()
        return Bound(
            reference=lambda: contextlib.nullcontext(model),
            prompt_format=PromptFormat(load_tokenizer(self.reference)),
            steering=self.steering,
        )


def _told_beside(scorers: Any) -> str:
    """What reward functions told beside their scores: groups have no place for it."""
    metrics = [f"; {name} {value:.4g}" for name, value in scorers.take_metrics().items()]
    columns = ", ".join(scorers.take_extras())
    return "".join(metrics) + (f"; not kept: log_extra columns {columns}" if columns else "")
