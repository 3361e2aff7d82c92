"""Single stages: sample, score, train, evaluate, reward."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from neat_align import defaults
from neat_align.cli.devices import (
    DeviceOption,
    DtypeOption,
    RecipeDevice,
    RecipeDtype,
    as_overrides,
    needs_place,
    option_problems,
    say_place,
)
from neat_align.cli.drawing import Force, decoding_of, steering_pair
from neat_align.cli.groups import DropKind, GroupsTarget, by_content
from neat_align.cli.json_option import json_object
from neat_align.cli.likely import plausibility_of
from neat_align.cli.ray_shards import ray_problems, run_on_ray
from neat_align.cli.shard_work import SampleWork, ScoreWork
from neat_align.cli.signal import signal_lines
from neat_align.cli.warnings import warn
from neat_align.errors import InputError, OutputError, RecipeError, raise_all
from neat_align.modeling import AUTO

console = Console(soft_wrap=True, highlight=False)

Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]
SteeringOption = Annotated[
    str | None,
    typer.Option(
        "--steering",
        "-s",
        help="Name of a steering pair (`neat steering list`), or a YAML or JSON file of your "
        "own. Its negative prompts order what must not be: 'Be rude.', not 'Never be rude.'",
    ),
]
Tokens = Annotated[int, typer.Option(min=1, help="Tokens a response at most.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 is greedy.")]
TopP = Annotated[float, typer.Option(help="Likeliest tokens up to this share; 1 is off.")]
TopK = Annotated[int, typer.Option(min=0, help="This many of the likeliest tokens; 0 is off.")]
MinP = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="At least this share of the likeliest; 0 is off.")
]
StopStrings = Annotated[
    list[str] | None,
    typer.Option("--stop-strings", help="Ends a response before it; repeatable."),
]
TemplateArguments = Annotated[
    str | None,
    typer.Option(
        "--chat-template-kwargs",
        help="Arguments of the chat template, as JSON: '{\"enable_thinking\": false}'.",
    ),
]
Responses = Annotated[int, typer.Option(min=0, help="Responses per query.")]
Batch = Annotated[int, typer.Option(min=1, help="Responses at a time.")]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="Model directory or hub id.")]
QueriesOption = Annotated[
    Path, typer.Option("--queries", "-q", help="JSONL, JSON, CSV, YAML, text or Parquet.")
]
RewardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reward", "-r", help="Model, file.py:function, judge=FILE or polarity; repeatable."
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        help="All shards on a Ray cluster: its address, auto, or local for one of your own. "
        "Give paths that every worker sees."
    ),
]
RayWorkers = Annotated[int, typer.Option(min=1, help="Shards at a time on the cluster.")]
RayGpus = Annotated[float, typer.Option(min=0.0, help="GPUs of each such worker.")]


def sample(
    model: ModelOption,
    queries: QueriesOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Groups: .jsonl, .parquet, or a directory.")
    ],
    steering: SteeringOption = None,
    positive: Responses = defaults.POSITIVE_SAMPLES,
    negative: Responses = defaults.NEGATIVE_SAMPLES,
    plain: Responses = defaults.PLAIN_SAMPLES,
    max_new_tokens: Tokens = defaults.MAX_NEW_TOKENS,
    temperature: Temperature = defaults.TEMPERATURE,
    top_p: TopP = defaults.TOP_P,
    top_k: TopK = defaults.TOP_K,
    min_p: MinP = defaults.MIN_P,
    stop_strings: StopStrings = None,
    chat_template_kwargs: TemplateArguments = None,
    data_answers: Annotated[
        bool,
        typer.Option("--data-answers", help="The rows' chosen and rejected answers join."),
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="The model before alignment, for a share of the negatives.")
    ] = None,
    base_negative_fraction: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the negatives that --base draws.")
    ] = 0.0,
    batch_size: Batch = defaults.SAMPLING_BATCH_SIZE,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
    num_shards: Annotated[int, typer.Option(min=1, help="Shards of the whole data set.")] = 1,
    shard_index: Annotated[int, typer.Option(min=0, help="The shard to write.")] = 0,
    server: Annotated[
        str | None, typer.Option(help="Ask this chat endpoint (…/v1) for the model instead.")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the server's key.")
    ] = defaults.KEY_VARIABLE,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Open questions to a server.")
    ] = defaults.CONCURRENCY,
    extra_body: Annotated[
        str | None, typer.Option(help="Further fields of every question to the server, as JSON.")
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
    from neat_align.content import Source, absolute_name
    from neat_align.data.shards import Shard
    from neat_align.sampling.groups import GroupPlan
    from neat_align.sampling.job import SamplingJob

    shard = Shard(shard_index, num_shards)
    plan = GroupPlan(plain, positive, negative)
    given = f"{positive} positive and {negative} negative responses per query"
    pair, problems = steering_pair(steering, given if positive or negative else None)
    job = SamplingJob(
        model,
        pair,
        plan,
        decoding_of(max_new_tokens, temperature, top_p, top_k, min_p, stop_strings),
        seed,
        batch_size,
        server,
        key_variable,
        concurrency,
        json_object(extra_body, "--extra-body"),
        json_object(chat_template_kwargs, "--chat-template-kwargs"),
        device,
        dtype,
        base,
        base_negative_fraction,
        data_answers,
    )
    problems += [*job.problems(), *option_problems(device, dtype, server, ray, ray_gpus)]
    raise_all(problems + ray_problems(ray, num_shards, shard_index, ray_workers, ray_gpus))
    target = GroupsTarget(output, shard)
    count = target.count(queries)
    if data_answers:
        target.check_answers(queries)
    sources = {"queries": Source("data", str(queries.absolute()))}
    if server is None:
        sources["sample"] = Source("model", absolute_name(model))
    if base is not None:
        sources["base"] = Source("model", absolute_name(base))
    if pair is not None:
        sources["steering"] = Source("steering", absolute_name(str(steering)))
    settings = {**job.identity(), "queries": str(queries), "shards": num_shards}
    target.check(settings, sources)
    known = by_content(settings, sources)

    work = SampleWork(job, queries.absolute(), output.absolute(), num_shards, known)
    if ray:
        for index, told in enumerate(run_on_ray(work, num_shards, ray, ray_workers, ray_gpus)):
            console.print(f"shard {index}: {told}")
        console.print(f"written: {output} ({job.plan.size} responses a group)")
        return
    if server is None:
        say_place(console, device, dtype)
    with _progress("sampling", count) as advance:
        told = replace(work, progress=advance)()(shard_index)
    console.print(f"written: {output} ({told}, {job.plan.size} responses each)")


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
            help="Weight of the base's log-likelihood under the positive prompts, per token.",
        ),
    ] = 0.0,
    base: Annotated[
        str | None, typer.Option(help="For --plausibility: the model before alignment.")
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
    Example: neat score groups/ -r ./reward --plausibility 1 --base ./model -s polite -o scored/
    """
    from neat_align.content import Source, absolute_name
    from neat_align.data.finished import unfinished
    from neat_align.data.flags import Filter
    from neat_align.data.shards import Shard, group_files
    from neat_align.scoring import check_scorer_value, import_problems

    shard = Shard(shard_index, num_shards)
    reward = reward or []
    problems = [problem for name in reward for problem in check_scorer_value(name)]
    likely, own = plausibility_of(plausibility, base, steering, bool(reward))
    raise_all(problems + own + option_problems(device, dtype, ray=ray, gpus=ray_gpus))
    if weight and len(weight) != len(reward):
        raise RecipeError(
            f"{len(weight)} weights for {len(reward)} rewards", "each needs one", "give as many"
        )
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
        **({"plausibility": asdict(likely)} if likely else {}),
        **({"data_answers": True} if data_answers else {}),
    }
    sources = {
        f"rewards[{number}]": Source("scorer", absolute_name(name))
        for number, name in enumerate(reward)
    }
    if likely is not None:
        sources["plausibility.base"] = Source("model", absolute_name(likely.base))
    target.check(settings, sources)
    known = by_content(settings, sources)
    raise_all(import_problems(reward))
    weights = tuple(weight) if weight else None
    paths = groups.absolute(), output.absolute()
    work = ScoreWork(
        tuple(reward), weights, kept, *paths, num_shards, known, device, dtype, likely, data_answers
    )
    if not ray and (likely or needs_place(reward)):
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


def train(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe's name, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value")] = None,
    groups: Annotated[
        Path | None, typer.Option(help="Stored, scored groups: train offline on them.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="From the last checkpoint.")] = False,
    force: Force = False,
    device: RecipeDevice = None,
    dtype: RecipeDtype = None,
) -> None:
    """Only the training stage of a recipe: online, or offline on stored groups.

    Example: neat train mine.yaml --groups scored.jsonl --output runs/offline
    Example: torchrun --nproc_per_node 8 -m neat_align train mine.yaml --output runs/online
    """
    from neat_align.pipeline import train_only
    from neat_align.recipe import load_recipe, recipe_warnings

    loaded = load_recipe(recipe, [*(overrides or ()), *as_overrides(device, dtype)])
    is_first = os.environ.get("RANK", "0") == "0"
    warn(recipe_warnings(loaded) if is_first else ())
    say = console.print if is_first else (lambda text: None)
    tried = train_only(loaded, output, groups, resume, force, say)
    if is_first:
        console.print(tried) if tried else None
        console.print(f"written: {output / 'policy'}")


def evaluate(
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="name=directory; call the unaligned one base."),
    ],
    queries: QueriesOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory.")],
    steering: SteeringOption = None,
    reward: Annotated[
        str | None, typer.Option(help="The scorer that training used: model or function.")
    ] = None,
    heldout_reward: Annotated[
        str | None, typer.Option(help="A scorer that training never saw.")
    ] = None,
    checker: Annotated[
        str | None,
        typer.Option(
            help="file.py:function of (query, text) that returns a verdict; queries need a `kind`."
        ),
    ] = None,
    max_new_tokens: Tokens = defaults.MAX_NEW_TOKENS,
    temperature: Temperature = defaults.TEMPERATURE,
    top_p: TopP = defaults.TOP_P,
    top_k: TopK = defaults.TOP_K,
    min_p: MinP = defaults.MIN_P,
    stop_strings: StopStrings = None,
    chat_template_kwargs: TemplateArguments = None,
    prompt: Annotated[
        bool, typer.Option(help="Also the base under the positive prompts, without training.")
    ] = True,
    samples_per_query: Annotated[
        int, typer.Option(min=1, help="Responses a query.")
    ] = defaults.SAMPLES_PER_QUERY,
    batch_size: Batch = defaults.SAMPLING_BATCH_SIZE,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
) -> None:
    """Compare models on held-out queries, plain and under negative prompts.

    The steering pair of a policy that was trained here is known from its directory; for
    other models, give it.

    Example: neat evaluate -m base=./model -m neat=runs/x/policy -q test.jsonl --reward ./rm -o out
    """
    from neat_align.cli.evaluation import evaluate_paths
    from neat_align.cli.told import tell_evaluation
    from neat_align.evaluation.suite import EvaluationSettings

    raise_all(option_problems(device, dtype))
    _refuse_existing(output)
    decoding = decoding_of(max_new_tokens, temperature, top_p, top_k, min_p, stop_strings)
    arguments = None
    if chat_template_kwargs is not None:
        arguments = json_object(chat_template_kwargs, "--chat-template-kwargs")
    settings = EvaluationSettings(decoding, seed, samples_per_query)
    named = {"train": reward, "heldout": heldout_reward}
    where = device, dtype
    evaluation = evaluate_paths(
        _named_paths(model),
        queries,
        steering,
        settings,
        named,
        checker,
        output,
        batch_size,
        arguments,
        where,
        prompt,
    )
    samples = {name: result.samples for name, result in evaluation.models.items()}
    tell_evaluation(evaluation.to_json(), samples, output, console.print)


def reward(
    model: ModelOption,
    preferences: Annotated[
        Path, typer.Option("--preferences", "-p", help="Rows with prompt, chosen, rejected.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory.")],
    epochs: Annotated[
        float, typer.Option(min=0.0, help="Passes over the pairs.")
    ] = defaults.REWARD_EPOCHS,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = defaults.REWARD_LEARNING_RATE,
    batch_size: Batch = defaults.REWARD_BATCH_SIZE,
    max_length: Annotated[
        int, typer.Option(min=16, help="Tokens a text at most.")
    ] = defaults.REWARD_MAX_LENGTH,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
) -> None:
    """Train a reward model on preference pairs, with its accuracy on held-out ones.

    Example: neat reward -m ./model -p hh-rlhf.jsonl.gz -o ./reward --learning-rate 1e-5
    """
    from neat_align.data import DataSpec, load_preferences
    from neat_align.modeling import check_model_source

    _refuse_existing(output)
    found = load_preferences(DataSpec(preferences))
    raise_all([*check_model_source(model), *option_problems(device, dtype)])

    from neat_align.training.precision import Precision
    from neat_align.training.reward import RewardModelSettings, train_reward_model

    precision = Precision.of(dtype, device)
    raise_all(precision.problems())
    console.print(str(precision))

    settings = RewardModelSettings(learning_rate, epochs, batch_size, max_length, seed=seed)
    told = train_reward_model(model, found.rows, output, settings, precision)
    for reason, count in found.dropped.items():
        console.print(f"dropped: {count} rows ({reason})")
    console.print(
        f"written: {output} (held-out accuracy {told.accuracy_heldout:.1%} of "
        f"{told.n_heldout} pairs, {told.accuracy_train:.1%} on training pairs)"
    )


def _named_paths(values: list[str]) -> dict[str, Path]:
    errors: list[InputError] = []
    paths = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not equals or not name.replace("_", "").replace("-", "").isalnum():
            errors.append(
                RecipeError(
                    f"--model {value!r}",
                    "it has no name",
                    "write name=directory, e.g. base=./model",
                )
            )
        elif name in paths:
            errors.append(RecipeError(f"--model {value!r}", "the name is taken", "use another"))
        paths[name] = Path(path)
    raise_all(errors)
    return paths


def _refuse_existing(path: Path) -> None:
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise OutputError(f"output {path}", "it exists", "name another, or remove it first")


def _progress(what: str, total: int) -> Any:
    """A progress bar as a context manager that gives `advance(count)`."""
    import contextlib

    from rich.progress import Progress

    @contextlib.contextmanager
    def shown() -> Any:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)

    return shown()
