"""The options of `neat score`: groups with one or several rewards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neat_align.cli.asked import given_to_rewards
from neat_align.cli.devices import (
    DeviceOption,
    DtypeOption,
    needs_place,
    option_problems,
    say_place,
)
from neat_align.cli.options import (
    GroupsOutput,
    NumShards,
    RayGpus,
    RayOption,
    RayWorkers,
    RewardOption,
    ShardIndex,
    SteeringOption,
    Weights,
    reward_problems,
)
from neat_align.errors import raise_all
from neat_align.models import AUTO
from neat_align.workflow.data_set import signal_lines
from neat_align.workflow.groups_target import DropKind
from neat_align.workflow.ray_shards import ray_problems, run_on_ray
from neat_align.workflow.shard_work import ScoreWork, ScoringJob

console = Console(soft_wrap=True, highlight=False)


def score(
    groups: Annotated[Path, typer.Argument(help="Groups that `neat sample` wrote.")],
    output: GroupsOutput,
    reward: RewardOption = None,
    weight: Weights = None,
    plausibility: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Weight of `-r plausibility`: log-likelihood under the reference, per token.",
        ),
    ] = 0.0,
    reference: Annotated[
        str | None, typer.Option(help="The model before alignment, for rewards that need it.")
    ] = None,
    steering: SteeringOption = None,
    data_answers: Annotated[
        bool,
        typer.Option("--data-answers", help="Add the queries' chosen and rejected answers."),
    ] = False,
    drop: Annotated[
        list[DropKind] | None, typer.Option(help="Responses to leave out; repeatable.")
    ] = None,
    min_gap: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Leave out groups without two scores further apart than this, in reward units.",
        ),
    ] = None,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    num_shards: NumShards = 1,
    shard_index: ShardIndex = 0,
    ray: RayOption = None,
    ray_workers: RayWorkers = 1,
    ray_gpus: RayGpus = 0,
) -> None:
    """Score groups with one or several rewards.

    A directory of parts is scored part by part into another directory; start the same
    command again to go on. Nothing is left out unless asked: what is odd is flagged.

    Example: neat score groups.jsonl -r rewards.py:politeness -r ./reward -o scored.jsonl
    Example: neat score groups/ -r ./reward -o scored/ --drop duplicate --min-gap 0.1
    Example: neat score groups/ -r ./reward --plausibility 1 --reference ./model -s polite -o s/
    """
    from neat_align.data.groups.flags import Filter
    from neat_align.data.groups.shards import Shard

    rewards, weights = list(reward or []), list(weight or [])
    problems = reward_problems(rewards, weights)
    if plausibility:
        weights = [*(weights or [1.0] * len(rewards)), plausibility]
        rewards.append("plausibility")
    pair, own = given_to_rewards(rewards, reference, steering) if not problems else (None, [])
    raise_all(problems + own + option_problems(device, dtype, ray=ray, gpus=ray_gpus))
    raise_all(ray_problems(ray, num_shards, shard_index, ray_workers, ray_gpus))
    kept = Filter(frozenset(str(kind) for kind in drop or ()), min_gap)
    weighed = tuple(rewards), tuple(weights) or None
    job = ScoringJob(*weighed, kept, reference, pair, data_answers, device, dtype)
    work = ScoreWork.checked(job, groups, output, Shard(shard_index, num_shards))
    if not ray and (reference or needs_place(rewards)):
        say_place(console, device, dtype)
    if ray:
        done = run_on_ray(work, num_shards, ray, ray_workers, ray_gpus)
    else:
        done = [work()(shard_index)]
    console.print(f"written: {output} ({'; '.join(told for told, _ in done)})")
    _tell_absent(groups, (dropped for _, dropped in done))
    for line in signal_lines(output):
        console.print(line)


def _tell_absent(groups: Path, dropped: Iterable[Mapping[str, int]]) -> None:
    from neat_align.data.groups.finished import unfinished
    from neat_align.data.groups.shards import group_files

    for what in unfinished(group_files(groups)[0].parent) if groups.is_dir() else ():
        console.print(f"not all there yet: {what}")
    for what, number in sum(map(Counter, dropped), Counter[str]()).items():
        console.print(f"left out: {number} {what}")
