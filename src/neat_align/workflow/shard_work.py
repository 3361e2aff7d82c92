"""What `neat sample` and `neat score` do for one shard: here, or in a worker elsewhere."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neat_align.errors import raise_all
from neat_align.provenance import Source, absolute_name
from neat_align.workflow.groups_target import GroupsTarget, by_content

if TYPE_CHECKING:
    from neat_align.data.groups.flags import Filter
    from neat_align.data.groups.shards import Shard
    from neat_align.prompts.steering import Steering
    from neat_align.sampling.job import SamplingJob
    from neat_align.scoring import Bound, ScorerSet
    from neat_align.types import Group, Query


@dataclass(frozen=True)
class SampleWork:
    """Samples groups for the queries of shards; called, it loads the model.

    Attributes:
        settings: by which its output is known again.
        total: different queries of the shard it was checked for.
        progress: told how many more queries are done.
    """

    job: SamplingJob
    queries: Path
    output: Path
    shards: int
    settings: Mapping[str, Any]
    total: int = 0
    progress: Callable[[int], None] | None = None

    @classmethod
    def checked(
        cls, job: SamplingJob, queries: Path, output: Path, shard: Shard, steering: str | None
    ) -> SampleWork:
        """Look at every query and claim the output; no model is loaded.

        Args:
            steering: how the job's steering pair was named.

        Raises:
            InputError: queries that cannot be used, or an output that something else began.
        """
        from neat_align.data import DataSpec, read_queries

        target = GroupsTarget(output, shard)
        total = target.count(queries)
        if job.data_answers:
            target.check_answers(queries)
        raise_all(job.column_problems(read_queries(DataSpec(queries))))
        sources = _sample_sources(job, queries, steering)
        settings = {**job.identity(), "queries": str(queries), "shards": shard.count}
        target.check(settings, sources)
        known = by_content(settings, sources)
        return cls(job, queries.absolute(), output.absolute(), shard.count, known, total)

    def __call__(self) -> Callable[[int], str]:
        from neat_align.data import DataSpec, read_queries
        from neat_align.data.groups.missing import Told
        from neat_align.data.groups.shards import Shard
        from neat_align.sampling.groups import draw_seed

        maker = self.job.load(read_queries(DataSpec(self.queries)))

        def write(index: int) -> str:
            target = GroupsTarget(self.output, Shard(index, self.shards))
            advance = self.progress or (lambda count: None)
            groups = maker(target.journal)

            def make(queries: Sequence[Query]) -> Sequence[Group]:
                return groups.drawn(queries, draw_seed(self.job.seed))

            told = Told(groups.unanswered, getattr(groups.policy, "in_force", {}))
            return target.write_queries(self.queries, make, advance, told, self.settings)

        return write


@dataclass(frozen=True)
class ScoringJob:
    """How stored groups are scored; goes to other processes as it is.

    Attributes:
        rewards: named scorers.
        weights: one for each reward; 1 when None.
        kept: tells which responses and groups are left out.
        reference, steering: for rewards that need them.
        data_answers: a query's `chosen` and `rejected` answers join its group.
        device, dtype: of the scorers' models; see `models.device`.
    """

    rewards: tuple[str, ...]
    weights: tuple[float, ...] | None
    kept: Filter
    reference: str | None = None
    steering: Steering | None = None
    data_answers: bool = False
    device: str = "auto"
    dtype: str = "auto"

    def identity(self) -> dict[str, Any]:
        """Tell what decides the scores."""
        return {
            "rewards": list(self.rewards),
            "weights": list(self.weights) if self.weights else None,
            "drop": sorted(self.kept.drop),
            "min_gap": self.kept.min_gap,
            "dtype": self.dtype,
            **({"reference": self.reference} if self.reference else {}),
            **({"prompts": self.steering.positive} if self.steering else {}),
            **({"data_answers": True} if self.data_answers else {}),
        }

    def sources(self) -> dict[str, Source]:
        """Tell what the scores are made from, whose content must stay as it is."""
        found = {
            f"rewards[{number}]": Source("scorer", absolute_name(name))
            for number, name in enumerate(self.rewards)
        }
        if self.reference is not None:
            found["reference"] = Source("model", absolute_name(self.reference))
        return found

    def load(self) -> ScorerSet:
        """Load the scorers, and what they need."""
        from neat_align.scoring import ScorerSet, bind_scorer, resolve_scorer

        bound = self._bound()
        rewards = [
            bind_scorer(resolve_scorer(name, device=self.device, dtype=self.dtype), bound)
            for name in self.rewards
        ]
        return ScorerSet(rewards, self.weights)

    def _bound(self) -> Bound:
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


@dataclass(frozen=True)
class ScoreWork:
    """Score the parts of shards: a call loads the rewards, and returns what scores one shard."""

    job: ScoringJob
    groups: Path
    output: Path
    shards: int
    settings: Mapping[str, Any]

    @classmethod
    def checked(cls, job: ScoringJob, groups: Path, output: Path, shard: Shard) -> ScoreWork:
        """Look at the groups and claim the output; no reward is loaded.

        Raises:
            InputError: there are no such groups, or something else began the output.
        """
        target = GroupsTarget(output, shard)
        target.check_source(groups)
        settings = {
            "made_by": target.made_by(groups),
            **job.identity(),
            "shards": shard.count,
        }
        target.check(settings, job.sources())
        known = by_content(settings, job.sources())
        return cls(job, groups.absolute(), output.absolute(), shard.count, known)

    def __call__(self) -> Callable[[int], tuple[str, dict[str, int]]]:
        from neat_align.data.groups.shards import Shard
        from neat_align.sampling.groups import with_answers

        scorers = self.job.load()

        def make(groups: Sequence[Group]) -> tuple[list[Group], Counter[str]]:
            groups = [with_answers(g) for g in groups] if self.job.data_answers else groups
            return self.job.kept(scorers.score(groups)) if groups else ([], Counter())

        def write(index: int) -> tuple[str, dict[str, int]]:
            target = GroupsTarget(self.output, Shard(index, self.shards))
            told, left_out = target.write_groups(self.groups, make, scorers.unscored, self.settings)
            return f"{told}{_told_beside(scorers)}", dict(left_out)

        return write


def _sample_sources(job: SamplingJob, queries: Path, steering: str | None) -> dict[str, Source]:
    """Tell what groups are made from, whose content must stay as it is."""
    found = {"queries": Source("data", str(queries.absolute()))}
    models = {"sample": job.model if job.server is None else None, "reference": job.reference}
    for place, name in models.items():
        if name is not None:
            found[place] = Source("model", absolute_name(name))
    if steering is not None and job.steering is not None:
        found["steering"] = Source("steering", absolute_name(steering))
    return found


def _told_beside(scorers: Any) -> str:
    """Tell what reward functions told beside their scores: groups have no place for it."""
    metrics = [f"; {name} {value:.4g}" for name, value in scorers.take_metrics().items()]
    columns = ", ".join(scorers.take_extras())
    return "".join(metrics) + (f"; not kept: log_extra columns {columns}" if columns else "")
