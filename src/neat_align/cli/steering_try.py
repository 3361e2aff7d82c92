"""The options of `neat steering try`: what each prompt of a pair brings out of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from neat_align import defaults
from neat_align.cli.asked import steering_pair
from neat_align.cli.decoding import with_decoding
from neat_align.cli.devices import DeviceOption, DtypeOption, option_problems
from neat_align.cli.options import (
    Batch,
    ContinuesTurns,
    KeyVariable,
    ModelOption,
    QueriesOption,
    RewardOption,
    Seed,
    ServerOption,
    SteeringOption,
    Weights,
    reward_problems,
)
from neat_align.config import NEATSettings
from neat_align.errors import RecipeError, raise_all
from neat_align.models import AUTO

if TYPE_CHECKING:
    from neat_align.sampling.base import Decoding
    from neat_align.sampling.trial_result import SteeringTrial

console = Console(soft_wrap=True, highlight=False)


@with_decoding
def steering_try(
    model: ModelOption,
    queries: QueriesOption,
    decoding: Decoding,
    steering: SteeringOption = None,
    reward: RewardOption = None,
    weight: Weights = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Queries, drawn from the file by the seed.")
    ] = NEATSettings.steering_try_queries,
    batch_size: Batch = NEATSettings.sampling_batch_size,
    seed: Seed = 0,
    server: ServerOption = None,
    continues_turns: ContinuesTurns = False,
    key_variable: KeyVariable = defaults.KEY_VARIABLE,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all answers to this file, as JSON.")
    ] = None,
) -> None:
    """Show what each prompt of a steering pair brings out, and whether it steers.

    The trial that `neat run` makes before it trains: answers without a prompt and under each
    one; with a reward also scores, and how many bad plain answers a positive prompt turns
    good, and good ones a negative prompt bad.

    Example: neat steering try -m ./model -q queries.jsonl -s own.yaml -r rewards.py:score
    """
    from neat_align.sampling.job import SamplingJob
    from neat_align.sampling.plan import GroupPlan
    from neat_align.scoring import Need, import_problems, unmet_problems
    from neat_align.workflow.tried_steering import try_steering

    pair, problems = steering_pair(steering, "neat steering try")
    rewards = reward or []
    problems += reward_problems(rewards, weight)
    job = SamplingJob(
        model,
        pair,
        GroupPlan(1, 1, 1),
        decoding,
        seed,
        batch_size,
        server,
        key_variable,
        device=device,
        dtype=dtype,
        continues_turns=continues_turns,
    )
    raise_all([*problems, *job.problems(), *option_problems(device, dtype, server)])
    if output is not None and output.exists():
        raise_all([RecipeError(f"--output {output}", "it exists", "name another file")])
    raise_all(import_problems(rewards) or unmet_problems(rewards, {Need.STEERING}))
    if pair is not None:
        _show(try_steering(job, pair, queries, number, rewards, weight), output)


def _show(trial: SteeringTrial, output: Path | None) -> None:
    from neat_align.sampling.trial_text import ADVICE, told
    from neat_align.storage.atomic import atomic_write_json

    console.print(told(trial, shown=trial.queries), markup=False)
    for text in trial.warnings:
        console.print(f"to look at: {text}", markup=False)
    for text in trial.problems:
        console.print(f"a run would stop: {text}", markup=False)
    console.print(f"verdict: {trial.verdict}", markup=False)
    if trial.problems:
        console.print(f"fix: {ADVICE}; try other phrasings, or more queries (-n 32)", markup=False)
    if output is not None:
        atomic_write_json(output, trial.to_json())
        console.print(f"written: {output}", markup=False)
