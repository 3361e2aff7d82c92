"""Options that several commands have: what they are called, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from neat_align.errors import InputError, RecipeError

Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Train although the steering pair does not steer when tried."),
]
SteeringOption = Annotated[
    str | None,
    typer.Option(
        "--steering",
        "-s",
        help="Name of a steering pair (`neat steering list`), or a YAML or JSON file of your "
        "own. Its negative prompts order what must not be: 'Be rude.', not 'Never be rude.'",
    ),
]
Tokens = Annotated[int, typer.Option(min=1, help="Most tokens per response.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Sampling temperature; 0 is greedy.")]
TopP = Annotated[
    float, typer.Option(help="Draw from the likeliest tokens that hold this share; 1 is off.")
]
TopK = Annotated[
    int, typer.Option(min=0, help="Draw from this many of the likeliest tokens; 0 is off.")
]
MinP = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Draw tokens at least this likely beside the likeliest; 0 is off."
    ),
]
StopStrings = Annotated[
    list[str] | None,
    typer.Option("--stop-strings", help="End a response before this text; repeatable."),
]
TemplateArguments = Annotated[
    str | None,
    typer.Option(
        "--chat-template-kwargs",
        help="Arguments of the chat template, as JSON: '{\"enable_thinking\": false}'.",
    ),
]
PositiveResponses = Annotated[int, typer.Option(min=0, help="Positive-prompt responses per query.")]
NegativeResponses = Annotated[int, typer.Option(min=0, help="Negative-prompt responses per query.")]
PlainResponses = Annotated[
    int, typer.Option(min=0, help="Responses per query without a steering prompt.")
]
Batch = Annotated[int, typer.Option(min=1, help="Responses per batch.")]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="Model directory or hub id.")]
QueriesOption = Annotated[
    Path, typer.Option("--queries", "-q", help="JSONL, JSON, CSV, YAML, text or Parquet.")
]
RewardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reward",
        "-r",
        help="Model, file.py:function, judge=FILE, or a name of `neat scorer list`; repeatable.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        help="Do all shards on a Ray cluster: its address, auto, or local for one of your own. "
        "Give paths that every worker sees."
    ),
]
RayWorkers = Annotated[int, typer.Option(min=1, help="Shards at a time on the cluster.")]
ServerOption = Annotated[
    str | None, typer.Option(help="Ask this chat endpoint (…/v1) for the model instead.")
]
KeyVariable = Annotated[str, typer.Option(help="Environment variable with the server's key.")]
Weights = Annotated[
    list[float] | None,
    typer.Option("--weight", "-w", help="Weight of each reward, in their order; repeatable."),
]
NumShards = Annotated[int, typer.Option(min=1, help="Shards of the whole data set.")]
ShardIndex = Annotated[int, typer.Option(min=0, help="The shard to write.")]
GroupsOutput = Annotated[
    Path, typer.Option("--output", "-o", help="Groups: .jsonl, .parquet, or a directory.")
]
RayGpus = Annotated[float, typer.Option(min=0.0, help="GPUs per worker.")]


def reward_problems(rewards: Sequence[str], weights: Sequence[float] | None) -> list[InputError]:
    """Find rewards that cannot be used, or weights that are not as many."""
    from neat_align.scoring import check_scorer_value

    problems = [problem for name in rewards for problem in check_scorer_value(name)]
    if weights and len(weights) != len(rewards):
        given = f"{len(weights)} weights for {len(rewards)} rewards"
        problems.append(RecipeError(given, "each needs one", "give as many"))
    return problems
