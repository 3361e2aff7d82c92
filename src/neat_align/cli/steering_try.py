"""`neat steering try`: what each prompt of a pair brings out of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from neat_align import defaults
from neat_align.cli.devices import DeviceOption, DtypeOption, option_problems
from neat_align.cli.drawing import decoding_of, steering_pair
from neat_align.cli.options import (
    Batch,
    MinP,
    ModelOption,
    QueriesOption,
    RewardOption,
    Seed,
    SteeringOption,
    StopStrings,
    Temperature,
    Tokens,
    TopK,
    TopP,
    reward_problems,
)
from neat_align.errors import RecipeError, raise_all
from neat_align.models import AUTO

if TYPE_CHECKING:
    from neat_align.sampling.job import SamplingJob
    from neat_align.sampling.verdict import SteeringTrial

console = Console(soft_wrap=True, highlight=False)


def steering_try(
    model: ModelOption,
    queries: QueriesOption,
    steering: SteeringOption = None,
    reward: RewardOption = None,
    weight: Annotated[
        list[float] | None, typer.Option("--weight", "-w", help="One for each reward.")
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Queries, drawn from the file by the seed.")
    ] = defaults.TRY_QUERIES,
    max_new_tokens: Tokens = defaults.MAX_NEW_TOKENS,
    temperature: Temperature = defaults.TEMPERATURE,
    top_p: TopP = defaults.TOP_P,
    top_k: TopK = defaults.TOP_K,
    min_p: MinP = defaults.MIN_P,
    stop_strings: StopStrings = None,
    batch_size: Batch = defaults.SAMPLING_BATCH_SIZE,
    seed: Seed = 0,
    server: Annotated[
        str | None, typer.Option(help="Ask this chat endpoint (…/v1) for the model instead.")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the server's key.")
    ] = defaults.KEY_VARIABLE,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Keep all answers here, as JSON.")
    ] = None,
) -> None:
    """Show what each prompt of a steering pair brings out, and whether it steers.

    The trial that `neat run` makes before it trains: answers without a prompt and under each
    one; with a reward also scores, and how many bad plain answers a positive prompt turns
    good, and good ones a negative prompt bad.

    Example: neat steering try -m ./model -q queries.jsonl -s own.yaml -r rewards.py:score
    """
    from neat_align.sampling.groups import GroupPlan
    from neat_align.sampling.job import SamplingJob
    from neat_align.scoring import Need, import_problems, unmet_problems

    pair, problems = steering_pair(steering, "neat steering try")
    rewards = reward or []
    problems += reward_problems(rewards, weight)
    decoding = decoding_of(max_new_tokens, temperature, top_p, top_k, min_p, stop_strings)
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
    )
    raise_all([*problems, *job.problems(), *option_problems(device, dtype, server)])
    if output is not None and output.exists():
        raise_all([RecipeError(f"--output {output}", "it exists", "name another file")])
    raise_all(import_problems(rewards) or unmet_problems(rewards, {Need.STEERING}))
    _show(_trial(job, queries, number, rewards, weight), output)


def _trial(
    job: SamplingJob, queries: Path, number: int, rewards: list[str], weights: list[float] | None
) -> SteeringTrial:
    from neat_align.data import DataSpec, load_queries
    from neat_align.sampling.trial import draw_trial, tried_prompts, tried_queries
    from neat_align.sampling.verdict import judged
    from neat_align.scoring import Bound, ScorerSet, bind_scorer, resolve_scorer

    found = tried_queries(load_queries(DataSpec(queries)), number, job.seed)
    pair = job.steering
    assert pair is not None
    maker = job.load()(None).groups
    groups = draw_trial(maker, found, tried_prompts(pair, True, True), job.seed)
    if not rewards:
        return judged(groups, pair.name, None)
    own = {"device": job.device, "dtype": job.dtype}
    bound = Bound(steering=pair)
    scorers = ScorerSet([bind_scorer(resolve_scorer(n, **own), bound) for n in rewards], weights)
    return judged(scorers.score(groups) if groups else [], pair.name, scorers.judging)


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
