"""The trial of a steering pair on some queries, as `neat steering try` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neat_align.data import DataSpec, load_queries
from neat_align.errors import raise_all
from neat_align.prompts.steering import Steering
from neat_align.sampling.job import SamplingJob
from neat_align.sampling.trial import draw_trial, tried_phrasings, tried_queries
from neat_align.sampling.trial_result import SteeringTrial
from neat_align.sampling.verdict import judged
from neat_align.scoring import Bound, ScorerSet, bind_scorer, resolve_scorer


def try_steering(
    job: SamplingJob,
    pair: Steering,
    queries: Path,
    number: int,
    rewards: Sequence[str],
    weights: Sequence[float] | None,
) -> SteeringTrial:
    """Draw answers without a prompt and under each phrasing of the pair, and judge them.

    Args:
        number: queries, drawn from the file by the job's seed.
        rewards: named scorers; without one, texts alone are compared.
    """
    found = tried_queries(load_queries(DataSpec(queries)), number, job.seed)
    raise_all(job.column_problems(found))
    maker = job.load()(None)
    groups = draw_trial(maker, found, tried_phrasings(pair, job.plan), job.seed)
    if not rewards:
        return judged(groups, pair.name, None)
    own = {"device": job.device, "dtype": job.dtype}
    bound = Bound(steering=pair)
    scorers = ScorerSet([bind_scorer(resolve_scorer(n, **own), bound) for n in rewards], weights)
    return judged(scorers.score(groups) if groups else [], pair.name, scorers.judging)
