"""The parts of a training, put together: reference, rewards, and the maker of groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neat_align.objectives import Objective
from neat_align.prompt_format import PromptFormat
from neat_align.sampling.base import Sampler
from neat_align.sampling.local import TransformersSampler
from neat_align.scoring import ScorerSet, resolve_scorer
from neat_align.scoring.plausibility import Plausibility
from neat_align.scoring.resolve import SELF_JUDGE
from neat_align.scoring.self_judge import SelfJudge
from neat_align.steering import Steering
from neat_align.training.config import NEATConfig
from neat_align.training.online import ScoredGroupMaker
from neat_align.training.reference import Reference, ReferenceSampler
from neat_align.training.stopwatch import Stopwatch


def make_reference(
    args: NEATConfig,
    objective: Objective,
    samples: bool,
    model: Any,
    given: Any,
    came_with_adapter: bool,
) -> Reference | None:
    """The reference model where the objective, the sampling or the score asks for one."""
    asked = args.base_negative_fraction > 0 or args.plausibility > 0
    if not (objective.needs_reference or (samples and asked)):
        return None
    return Reference(model, given, came_with_adapter)


def make_maker(
    args: NEATConfig,
    model: Any,
    prompt_format: PromptFormat,
    steering: Steering,
    reference: Reference | None,
    scorers: ScorerSet,
    sampler: Sampler | None,
    stopwatch: Stopwatch,
) -> ScoredGroupMaker:
    """What samples and scores groups from the policy, or from what is given instead."""
    size = args.sampling_batch_size
    base = None
    if args.base_negative_fraction > 0:
        base = ReferenceSampler(reference, prompt_format, size)
    return ScoredGroupMaker(
        policy=sampler or TransformersSampler(model, prompt_format, "policy", size),
        base=base,
        scorers=scorers,
        steering=steering,
        plan=args.plan,
        decoding=args.decoding,
        base_negative_fraction=args.base_negative_fraction,
        add_reference=args.add_reference_responses,
        stopwatch=stopwatch,
    )


def make_scorers(
    args: NEATConfig,
    rewards: Sequence[Any],
    weights: Sequence[float] | None,
    prompt_format: PromptFormat,
    steering: Steering,
    reference: Reference | None,
    policy: Callable[[], Any],
) -> ScorerSet:
    """The rewards, and the plausibility where it has a weight.

    Args:
        policy: gives the policy for a block; for a `SelfJudge`.
    """
    scorers = [_scorer(args, reward, prompt_format, policy) for reward in rewards]
    weights = list(weights) if weights is not None else [1.0] * len(scorers)
    if args.plausibility:
        assert reference is not None
        budget = args.max_tokens_per_pass
        scorers.append(Plausibility(reference.model, prompt_format, steering.positive, budget))
        weights.append(args.plausibility)
    return ScorerSet(scorers, weights)


def _scorer(
    args: NEATConfig, value: Any, prompt_format: PromptFormat, policy: Callable[[], Any]
) -> Any:
    """A scorer; a `SelfJudge` is given the policy."""
    if value != SELF_JUDGE and not isinstance(value, SelfJudge):
        return resolve_scorer(value, device=args.device)
    judge = value if isinstance(value, SelfJudge) else SelfJudge()
    return judge.bind(policy, prompt_format, args.max_tokens_per_pass)
