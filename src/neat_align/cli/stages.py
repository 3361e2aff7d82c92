"""Single stages: sample, score, train, evaluate, reward."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from neat_align.artefacts import digest
from neat_align.cli.groups import DropKind
from neat_align.cli.groups import GroupsTarget as _Target
from neat_align.errors import InputError, OutputError, RecipeError, raise_all

console = Console(soft_wrap=True, highlight=False)

Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]
SteeringOption = Annotated[
    str, typer.Option("--steering", "-s", help="A steering pair's name, or a YAML or JSON file.")
]
Tokens = Annotated[int, typer.Option(min=1, help="Tokens a response at most.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 is greedy.")]
Batch = Annotated[int, typer.Option(min=1, help="Responses at a time.")]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="Model directory or hub id.")]
QueriesOption = Annotated[
    Path, typer.Option("--queries", "-q", help="JSONL, JSON, CSV or Parquet (also .gz).")
]


def sample(
    model: ModelOption,
    queries: QueriesOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Groups: .jsonl, .parquet, or a directory.")
    ],
    steering: SteeringOption = "harmless",
    positive: Annotated[int, typer.Option(min=0, help="Responses a query.")] = 2,
    negative: Annotated[int, typer.Option(min=0, help="Responses a query.")] = 2,
    plain: Annotated[int, typer.Option(min=0, help="Responses a query.")] = 0,
    max_new_tokens: Tokens = 128,
    temperature: Temperature = 1.0,
    batch_size: Batch = 64,
    seed: Seed = 0,
    num_shards: Annotated[int, typer.Option(min=1, help="Shards of the whole data set.")] = 1,
    shard_index: Annotated[int, typer.Option(min=0, help="The shard to write.")] = 0,
    server: Annotated[
        str | None, typer.Option(help="Ask this chat endpoint (…/v1) for the model instead.")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="Environment variable with the server's key.")
    ] = "OPENAI_API_KEY",
    concurrency: Annotated[int, typer.Option(min=1, help="Open questions to a server.")] = 16,
) -> None:
    """Answer queries under positive and negative prompts; write groups.

    A directory is written in parts: start the same command again to go on, and other
    shards anywhere at the same time.

    Example: neat sample -m ./model -q queries.jsonl -o groups.jsonl --steering harmless
    Example: neat sample -m ./model -q queries.jsonl -o groups/ --num-shards 8 --shard-index 3
    Example: neat sample -m NAME --server http://localhost:8000/v1 -q queries.jsonl -o groups/
    """
    from neat_align.chat_client import ChatClient, url_problems
    from neat_align.data.shards import Shard
    from neat_align.modeling import check_model_source, load_causal_lm, load_tokenizer
    from neat_align.sampling.base import Decoding, Sampler
    from neat_align.sampling.groups import GroupPlan, sample_groups
    from neat_align.steering import Steering

    shard = Shard(shard_index, num_shards)
    pair, plan = Steering.from_value(steering), GroupPlan(plain, positive, negative)
    decoding = Decoding(max_new_tokens, temperature)
    raise_all(url_problems(server) if server else check_model_source(model))
    target = _Target(output, shard)
    count = target.count(queries)
    target.check(
        {
            "sample": str(model),
            "server": server,
            "queries": {"path": str(queries), "sha256": digest(queries)},
            "steering": {"name": pair.name, "positive": pair.positive, "negative": pair.negative},
            "plan": asdict(plan),
            "decoding": asdict(decoding),
            "seed": seed,
            "shards": num_shards,
        }
    )

    sampler: Sampler
    if server:
        from neat_align.sampling.server import ServerSampler

        client = ChatClient(server, str(model), key_variable)
        sampler = ServerSampler(client, concurrency, target.journal)
    else:
        from neat_align.prompt_format import PromptFormat
        from neat_align.sampling.local import TransformersSampler

        loaded, tokenizer = load_causal_lm(model), load_tokenizer(model)
        sampler = TransformersSampler(loaded, PromptFormat(tokenizer), model, batch_size)
    with _progress("sampling", count) as advance:
        told = target.write_queries(
            queries, lambda part: sample_groups(sampler, part, pair, plan, decoding, seed), advance
        )
    console.print(f"written: {output} ({told}, {plan.size} responses each)")


def score(
    groups: Annotated[Path, typer.Argument(help="Groups that `neat sample` wrote.")],
    reward: Annotated[
        list[str],
        typer.Option(
            "--reward", "-r", help="Model, file.py:function, judge=FILE or polarity; repeatable."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Groups: .jsonl, .parquet, or a directory.")
    ],
    weight: Annotated[
        list[float] | None, typer.Option("--weight", "-w", help="One for each reward.")
    ] = None,
    drop: Annotated[
        list[DropKind] | None, typer.Option(help="Responses to leave out; repeatable.")
    ] = None,
    min_gap: Annotated[
        float | None, typer.Option(min=0.0, help="Leave out groups whose scores are closer.")
    ] = None,
    num_shards: Annotated[int, typer.Option(min=1, help="Shards of the files to score.")] = 1,
    shard_index: Annotated[int, typer.Option(min=0, help="The shard to score.")] = 0,
) -> None:
    """Score groups with one or several rewards.

    A directory of parts is scored part by part into another directory; start the same
    command again to go on. Nothing is left out unless asked: what is odd is flagged.

    Example: neat score groups.jsonl -r rewards.py:politeness -r ./reward -o scored.jsonl
    Example: neat score groups/ -r ./reward -o scored/ --drop duplicate --min-gap 0.1
    """
    from neat_align.data.finished import unfinished
    from neat_align.data.flags import Filter
    from neat_align.data.shards import Shard, group_files
    from neat_align.scoring import ScorerSet, check_scorer_value, resolve_scorer

    shard = Shard(shard_index, num_shards)
    raise_all([problem for name in reward for problem in check_scorer_value(name)])
    if weight and len(weight) != len(reward):
        raise RecipeError(
            f"{len(weight)} weights for {len(reward)} rewards", "each needs one", "give as many"
        )
    kept = Filter(frozenset(str(kind) for kind in drop or ()), min_gap)
    target = _Target(output, shard)
    target.check_source(groups)
    target.check(
        {
            "score": str(groups),
            "rewards": reward,
            "weights": weight,
            "drop": sorted(kept.drop),
            "min_gap": min_gap,
            "shards": num_shards,
        }
    )
    scorers = ScorerSet([resolve_scorer(name) for name in reward], weight or None)
    told, left_out = target.write_groups(groups, lambda part: kept(scorers.score(part)))
    console.print(f"written: {output} ({told})")
    for what in unfinished(group_files(groups)[0].parent) if groups.is_dir() else ():
        console.print(f"not all there yet: {what}")
    for what, number in left_out.items():
        if number:
            console.print(f"left out: {number} {what}")


def train(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe's name, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="section.key=value")] = None,
    groups: Annotated[
        Path | None, typer.Option(help="Stored, scored groups: train offline on them.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="From the last checkpoint.")] = False,
) -> None:
    """Only the training stage of a recipe: online, or offline on stored groups.

    Example: neat train mine.yaml --groups scored.jsonl --output runs/offline
    Example: torchrun --nproc_per_node 8 -m neat_align train mine.yaml --output runs/online
    """
    from neat_align.pipeline import train_only
    from neat_align.recipe import load_recipe

    train_only(load_recipe(recipe, overrides or ()), output, groups, resume)
    if os.environ.get("RANK", "0") == "0":
        console.print(f"written: {output / 'policy'}")


def evaluate(
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="name=directory; call the unaligned one base."),
    ],
    queries: QueriesOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory.")],
    steering: SteeringOption = "harmless",
    reward: Annotated[
        str | None, typer.Option(help="The scorer that training used: model or function.")
    ] = None,
    heldout_reward: Annotated[
        str | None, typer.Option(help="A scorer that training never saw.")
    ] = None,
    checker: Annotated[
        str | None, typer.Option(help="module:function or file.py:function with verdicts.")
    ] = None,
    max_new_tokens: Tokens = 128,
    temperature: Temperature = 1.0,
    samples_per_query: Annotated[int, typer.Option(min=1, help="Responses a query.")] = 1,
    batch_size: Batch = 64,
    seed: Seed = 0,
) -> None:
    """Compare models on held-out queries, plain and under negative prompts.

    Example: neat evaluate -m base=./model -m neat=./policy -q test.jsonl -r ./reward -o out
    """
    from neat_align.cli.evaluation import evaluate_paths
    from neat_align.evaluation.suite import EvaluationSettings
    from neat_align.sampling.base import Decoding

    _refuse_existing(output)
    settings = EvaluationSettings(Decoding(max_new_tokens, temperature), seed, samples_per_query)
    named = {"train": reward, "heldout": heldout_reward}
    evaluate_paths(
        _named_paths(model), queries, steering, settings, named, checker, output, batch_size
    )
    console.print(f"written: {output / 'evaluation.json'}")


def reward(
    model: ModelOption,
    preferences: Annotated[
        Path, typer.Option("--preferences", "-p", help="Rows with prompt, chosen, rejected.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory.")],
    epochs: Annotated[float, typer.Option(min=0.0, help="Passes over the pairs.")] = 1,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = 1e-5,
    batch_size: Batch = 16,
    max_length: Annotated[int, typer.Option(min=16, help="Tokens a text at most.")] = 512,
    seed: Seed = 0,
) -> None:
    """Train a reward model on preference pairs, with its accuracy on held-out ones.

    Example: neat reward -m ./model -p hh-rlhf.jsonl.gz -o ./reward --learning-rate 1e-5
    """
    from neat_align.data import DataSpec, load_preferences
    from neat_align.modeling import check_model_source

    _refuse_existing(output)
    found = load_preferences(DataSpec(preferences))
    raise_all(check_model_source(model))

    from neat_align.training.reward import RewardModelSettings, train_reward_model

    settings = RewardModelSettings(learning_rate, epochs, batch_size, max_length, seed=seed)
    told = train_reward_model(model, found.rows, output, settings)
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
                RecipeError(f"--model {value!r}", "it has no name", "write name=directory")
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
