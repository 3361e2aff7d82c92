"""Options that several commands have: what they are called, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from neat_align.config import LIMITS, help_of
from neat_align.errors import InputError, OutputError, RecipeError


def setting_option(name: str, limited: bool = True) -> Any:
    """Make the option of a setting: its limits and the first sentence of its help.

    Args:
        limited: False where a check of ours tells of the limits, with all else that is wrong.
    """
    low, high = LIMITS[name] if limited else (None, None)
    told = help_of(name).partition(". ")[0]
    return typer.Option(min=low, max=high, help=f"{told[0].upper()}{told[1:]}.")


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
Tokens = Annotated[int, setting_option("max_new_tokens")]
Temperature = Annotated[float, setting_option("temperature")]
TopP = Annotated[float, setting_option("top_p", limited=False)]
TopK = Annotated[int, setting_option("top_k")]
MinP = Annotated[float, setting_option("min_p")]
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
PositiveResponses = Annotated[int, setting_option("positive_samples")]
NegativeResponses = Annotated[int, setting_option("negative_samples")]
PlainResponses = Annotated[int, setting_option("plain_samples")]
PositiveChannels = Annotated[
    list[str] | None,
    typer.Option(
        "--positive-channels",
        help="Channel of the first positive response, the second …: system, turns, prefix "
        "or column; "
        "repeatable. Without, those that the pair has, in turn.",
    ),
]
NegativeChannels = Annotated[
    list[str] | None,
    typer.Option("--negative-channels", help="The same for negative responses; repeatable."),
]
ContinuesTurns = Annotated[
    bool,
    typer.Option(
        "--continues-turns",
        help="The server goes on from an answer that is begun, as vLLM, SGLang and llama.cpp do: "
        "needed where the pair has a prefix.",
    ),
]
Batch = Annotated[int, setting_option("sampling_batch_size")]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="Model directory or hub id.")]
QueriesOption = Annotated[
    Path, typer.Option("--queries", "-q", help="JSONL, JSON, CSV, YAML, text or Parquet.")
]
QueriesIfAny = Annotated[
    Path | None,
    typer.Option(
        "--queries",
        "-q",
        help="JSONL, JSON, CSV, YAML, text or Parquet; not needed beside a suite or a task.",
    ),
]
TaskOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A benchmark of `neat task list`: NAME=FILE, or NAME of one in --data; may be given "
        "again."
    ),
]
SuiteOption = Annotated[
    list[str] | None,
    typer.Option(help="Benchmarks together: safety, abilities, bias or all; may be given again."),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Where benchmarks are looked for: a directory with a folder or file per data set, or "
        "hub; may be given again."
    ),
]
SkipMissing = Annotated[
    bool,
    typer.Option("--skip-missing", help="Leave out benchmarks whose data are in no --data."),
]
TaskLimit = Annotated[
    int | None, typer.Option(min=1, help="Queries of each benchmark, drawn by the seed.")
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


def refuse_existing(path: Path) -> None:
    """Refuse an output that something was written to before.

    Raises:
        OutputError: it is a file, or a directory that holds something.
    """
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise OutputError(f"output {path}", "it exists", "name another, or remove it first")
