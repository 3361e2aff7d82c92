"""The options of `neat sample`: queries answered under positive and negative prompts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from neat_align import defaults
from neat_align.cli.asked import steering_pair
from neat_align.cli.decoding import with_decoding
from neat_align.cli.devices import (
    DeviceOption,
    DtypeOption,
    option_problems,
    say_place,
)
from neat_align.cli.json_option import json_object
from neat_align.cli.options import (
    Batch,
    ContinuesTurns,
    GroupsOutput,
    KeyVariable,
    ModelOption,
    NegativeChannels,
    NegativeResponses,
    NumShards,
    PlainResponses,
    PositiveChannels,
    PositiveResponses,
    QueriesOption,
    RayGpus,
    RayOption,
    RayWorkers,
    Seed,
    ServerOption,
    ShardIndex,
    SteeringOption,
    TemplateArguments,
)
from neat_align.config import NEATSettings
from neat_align.errors import raise_all
from neat_align.models import AUTO
from neat_align.workflow.ray_shards import ray_problems, run_on_ray
from neat_align.workflow.shard_work import SampleWork

if TYPE_CHECKING:
    from neat_align.sampling.base import Decoding

console = Console(soft_wrap=True, highlight=False)


@with_decoding
def sample(
    model: ModelOption,
    queries: QueriesOption,
    output: GroupsOutput,
    decoding: Decoding,
    steering: SteeringOption = None,
    positive: PositiveResponses = NEATSettings.positive_samples,
    negative: NegativeResponses = NEATSettings.negative_samples,
    plain: PlainResponses = NEATSettings.plain_samples,
    positive_channels: PositiveChannels = None,
    negative_channels: NegativeChannels = None,
    chat_template_kwargs: TemplateArguments = None,
    data_answers: Annotated[
        bool,
        typer.Option("--data-answers", help="Add the rows' chosen and rejected answers."),
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="Reference model that draws a share of the negatives.")
    ] = None,
    reference_negative_fraction: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the negatives that --reference draws.")
    ] = 0.0,
    batch_size: Batch = NEATSettings.sampling_batch_size,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
    num_shards: NumShards = 1,
    shard_index: ShardIndex = 0,
    server: ServerOption = None,
    continues_turns: ContinuesTurns = False,
    key_variable: KeyVariable = defaults.KEY_VARIABLE,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Parallel requests to a server.")
    ] = defaults.CONCURRENCY,
    extra_body: Annotated[
        str | None, typer.Option(help="Further fields of every request to the server, as JSON.")
    ] = None,
    ray: RayOption = None,
    ray_workers: RayWorkers = 1,
    ray_gpus: RayGpus = 0,
) -> None:
    """Answer queries under positive and negative prompts; write groups.

    A directory is written in parts: start the same command again to go on, and other
    shards anywhere at the same time; or all of them on a Ray cluster.

    Example: neat sample -m ./model -q queries.jsonl -o groups.jsonl --steering harmless
    Example: neat sample -m ./model -q queries.jsonl -o groups/ -s own.yaml --num-shards 8
    Example: neat sample -m NAME --server http://localhost:8000/v1 -q q.jsonl -o groups/ -s own.yaml
    Example: neat sample -m ./model -q queries.jsonl -o plain/ --positive 0 --negative 0 --plain 4
    """
    from neat_align.data.groups.shards import Shard
    from neat_align.sampling.job import SamplingJob
    from neat_align.sampling.plan import GroupPlan

    given = f"{positive} positive and {negative} negative responses per query"
    channels = (positive_channels or (), negative_channels or ())
    pair, problems = steering_pair(steering, given if positive or negative else None)
    job = SamplingJob(
        model,
        pair,
        GroupPlan(plain, positive, negative, *map(tuple, channels)),
        decoding,
        seed,
        batch_size,
        server,
        key_variable,
        concurrency,
        json_object(extra_body, "--extra-body"),
        json_object(chat_template_kwargs, "--chat-template-kwargs"),
        device,
        dtype,
        reference,
        reference_negative_fraction,
        data_answers,
        continues_turns,
    )
    problems += [*job.problems(), *option_problems(device, dtype, server, ray, ray_gpus)]
    raise_all(problems + ray_problems(ray, num_shards, shard_index, ray_workers, ray_gpus))
    shard = Shard(shard_index, num_shards)
    work = SampleWork.checked(job, queries, output, shard, steering)
    if ray:
        for index, told in enumerate(run_on_ray(work, num_shards, ray, ray_workers, ray_gpus)):
            console.print(f"shard {index}: {told}")
        console.print(f"written: {output} ({job.plan.size} responses per group)")
        return
    if server is None:
        say_place(console, device, dtype)
    with _progress("sampling", work.total) as advance:
        told = replace(work, progress=advance)()(shard_index)
    console.print(f"written: {output} ({told}, {job.plan.size} responses each)")


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar that counts what is given to the function."""
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
