"""`neat score`: groups with one or several rewards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from neat_align.cli.devices import (
    DeviceOption,
    DtypeOption,
    needs_place,
    option_problems,
    say_place,
)
from neat_align.cli.drawing import steering_pair
from neat_align.cli.options import (
    RayGpus,
    RayOption,
    RayWorkers,
    RewardOption,
    SteeringOption,
    reward_problems,
)
from neat_align.cli.signal import signal_lines
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.models import AUTO
from neat_align.workflow.groups_target import DropKind, GroupsTarget, by_content
from neat_align.workflow.ray_shards import ray_problems, run_on_ray
from neat_align.workflow.shard_work import ScoreWork

if TYPE_CHECKING:
    from neat_align.prompts.steering import Steering

console = Console(soft_wrap=True, highlight=False)


def score(
    groups: Annotated[Path, typer.Argument(help="Groups that `neat sample` wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Groups: .jsonl, .parquet, or a directory.")
    ],
    reward: RewardOption = None,
    weight: Annotated[
        list[float] | None, typer.Option("--weight", "-w", help="One for each reward.")
    ] = None,
    plausibility: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Weight of `-r plausibility`: log-likelihood under the reference, per token.",
        ),
    ] = 0.0,
    reference: Annotated[
        str | None, typer.Option(help="For rewards that ask it: the model before alignment.")
    ] = None,
    steering: SteeringOption = None,
    data_answers: Annotated[
        bool,
        typer.Option("--data-answers", help="The queries' chosen and rejected answers join."),
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
    num_shards: Annotated[int, typer.Option(min=1, help="Shards of the files to score.")] = 1,
    shard_index: Annotated[int, typer.Option(min=0, help="The shard to score.")] = 0,
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
    from neat_align.data.groups.finished import unfinished
    from neat_align.data.groups.flags import Filter
    from neat_align.data.groups.shards import Shard, group_files
    from neat_align.provenance import Source, absolute_name

    shard = Shard(shard_index, num_shards)
    reward, weight = reward or [], weight or None
    problems = reward_problems(reward, weight)
    if plausibility:
        weight = [*(weight or [1.0] * len(reward)), plausibility]
        reward = [*reward, "plausibility"]
    pair, own = _given_to(reward, reference, steering) if not problems else (None, [])
    raise_all(problems + own + option_problems(device, dtype, ray=ray, gpus=ray_gpus))
    raise_all(ray_problems(ray, num_shards, shard_index, ray_workers, ray_gpus))
    kept = Filter(frozenset(str(kind) for kind in drop or ()), min_gap)
    target = GroupsTarget(output, shard)
    target.check_source(groups)
    settings = {
        "made_by": target.made_by(groups),
        "rewards": reward,
        "weights": weight,
        "drop": sorted(kept.drop),
        "min_gap": min_gap,
        "dtype": dtype,
        "shards": num_shards,
        **({"reference": reference} if reference else {}),
        **({"prompts": pair.positive} if pair else {}),
        **({"data_answers": True} if data_answers else {}),
    }
    sources = {
        f"rewards[{number}]": Source("scorer", absolute_name(name))
        for number, name in enumerate(reward)
    }
    if reference is not None:
        sources["reference"] = Source("model", absolute_name(reference))
    target.check(settings, sources)
    known = by_content(settings, sources)
    weights = tuple(weight) if weight else None
    paths = groups.absolute(), output.absolute()
    work = ScoreWork(
        tuple(reward),
        weights,
        kept,
        *paths,
        num_shards,
        known,
        device,
        dtype,
        reference,
        pair,
        data_answers,
    )
    if not ray and (reference or needs_place(reward)):
        say_place(console, device, dtype)
    if ray:
        done = run_on_ray(work, num_shards, ray, ray_workers, ray_gpus)
    else:
        done = [work()(shard_index)]
    left_out = sum((Counter(dropped) for _, dropped in done), Counter[str]())
    console.print(f"written: {output} ({'; '.join(told for told, _ in done)})")
    for what in unfinished(group_files(groups)[0].parent) if groups.is_dir() else ():
        console.print(f"not all there yet: {what}")
    for what, number in left_out.items():
        console.print(f"left out: {number} {what}")
    for line in signal_lines(output):
        console.print(line)


def _given_to(
    rewards: list[str], reference: str | None, steering: str | None
) -> tuple[Steering | None, list[InputError]]:
    """Check that rewards get what they need, and that what is given is needed.

    The rewards have no other problems; their files are imported.
    """
    from neat_align.models import check_model_source
    from neat_align.scoring import Need, import_problems, needs_of, unmet_problems

    if not rewards:
        fix = "give --reward, or --plausibility with --reference and --steering"
        return None, [RecipeError("no --reward", "there is nothing to score with", fix)]
    if problems := import_problems(rewards):
        return None, problems
    needed = {need: name for name in rewards for need in needs_of(name)}
    has = {Need.STEERING, Need.DATA_ANSWERS} | ({Need.REFERENCE} if reference else set())
    pair, problems = steering_pair(steering, needed.get(Need.STEERING))
    problems += unmet_problems(rewards, has)
    problems += check_model_source(reference, "policy") if reference else []
    given = {Need.REFERENCE: reference, Need.STEERING: steering}
    problems += [
        RecipeError(
            f"--{need} {value} without --plausibility, or another reward that needs it",
            "no reward would be shown it",
            "give --plausibility WEIGHT, too, or leave it out",
        )
        for need, value in given.items()
        if value is not None and need not in needed
    ]
    return pair, problems
