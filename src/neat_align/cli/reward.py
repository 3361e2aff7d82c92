"""`neat reward`: train a reward model, and tell how far a reward can be trusted."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from neat_align import defaults
from neat_align.cli.default_command import TrainsByDefault
from neat_align.cli.devices import (
    DeviceOption,
    DtypeOption,
    needs_place,
    option_problems,
    say_place,
)
from neat_align.cli.options import ModelOption, Seed, refuse_existing
from neat_align.cli.told import tell_audit
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.models import AUTO

if TYPE_CHECKING:
    from neat_align.data import Preference
    from neat_align.types import Query

T = TypeVar("T")

console = Console(soft_wrap=True, highlight=False)


reward_app = typer.Typer(
    cls=TrainsByDefault,
    help="Rewards: train (what options alone do, too), audit.",
    no_args_is_help=True,
)


@reward_app.command()
def train(
    model: ModelOption,
    preferences: Annotated[
        Path, typer.Option("--preferences", "-p", help="Rows with prompt, chosen, rejected.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory.")],
    epochs: Annotated[
        float, typer.Option(min=0.0, help="Epochs over the pairs.")
    ] = defaults.REWARD_EPOCHS,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, help="Peak learning rate.")
    ] = defaults.REWARD_LEARNING_RATE,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Pairs per batch.")
    ] = defaults.REWARD_BATCH_SIZE,
    max_length: Annotated[
        int, typer.Option(min=16, help="Most tokens per text.")
    ] = defaults.REWARD_MAX_LENGTH,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
) -> None:
    """Train a reward model on preference pairs, with its accuracy on held-out ones.

    Example: neat reward train -m ./model -p hh-rlhf.jsonl.gz -o ./reward --learning-rate 1e-5
    """
    from neat_align.data import DataSpec, load_preferences
    from neat_align.models import check_model_source

    refuse_existing(output)
    found = load_preferences(DataSpec(preferences))
    raise_all([*check_model_source(model), *option_problems(device, dtype)])
    from neat_align.pretraining.reward_model import RewardModelSettings, train_reward_model
    from neat_align.training.precision import Precision

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


@reward_app.command()
def audit(
    reward: Annotated[
        str,
        typer.Argument(help="Model, file.py:function, or a name of `neat scorer list`."),
    ],
    pairs: Annotated[
        Path | None, typer.Option(help="Rows with prompt, chosen, rejected; HH-RLHF's, too.")
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option(
            help="Rows with prompt, `kind` (harmful, borderline, benign) and, unless harmful, a "
            "good `answer`. Without, the project's own development requests."
        ),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--number", "-n", min=1, help="Pairs, drawn by the seed.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all figures to this file, as JSON.")
    ] = None,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
) -> None:
    """Tell how far a reward can be trusted, before anything is trained with it.

    Of pairs: accuracy, calibration, length, wrong labels. Of requests: which tricks (flattery,
    repetition, a refusal that helps …) it likes better than an honest answer. Give pairs that
    the reward was not trained on.

    Example: neat reward audit ./reward --pairs hh-rlhf.jsonl.gz -n 1000 -o audit.json
    Example: neat reward audit refusal
    """
    from neat_align.evaluation.audit.audit import audit as audited
    from neat_align.evaluation.audit.probes import probes
    from neat_align.scoring import loads_model, resolve_scorer
    from neat_align.storage.atomic import atomic_write_json

    preferences, queries = _checked(reward, pairs, requests, number, output, device, dtype)
    if needs_place([reward]):
        say_place(console, device, dtype)
    scorer = resolve_scorer(reward, device=device, dtype=dtype)
    drawn = _drawn(preferences, number, seed)
    found = audited(scorer, drawn, probes(queries), loads_model(reward), seed)
    tell_audit(found, console.print)
    if output is not None:
        atomic_write_json(output, found.to_json())
        console.print(f"written: {output}", markup=False)


def _checked(
    reward: str,
    pairs: Path | None,
    requests: Path | None,
    number: int | None,
    output: Path | None,
    device: str,
    dtype: str,
) -> tuple[list[Preference], list[Query]]:
    """Read the pairs and requests, and find all that is wrong before a model is loaded."""
    from neat_align.data import DataSpec, load_preferences, load_queries
    from neat_align.demo.answers import answered_requests
    from neat_align.evaluation.audit.probes import request_problems

    problems = option_problems(device, dtype)
    if number is not None and pairs is None:
        why, fix = "there are no pairs to draw from", "give --pairs FILE, too"
        problems.append(RecipeError(f"--number {number}", why, fix))
    preferences: list[Preference] = []
    queries: list[Query] = []
    try:
        if output is not None:
            refuse_existing(output)
        preferences = load_preferences(DataSpec(pairs)).rows if pairs else []
        queries = load_queries(requests) if requests else answered_requests()
    except InputError as error:
        problems.append(error)
    problems += request_problems(queries)
    read = [preference.query for preference in preferences] + queries
    raise_all([*problems, *_reward_problems(reward, read)])
    return preferences, queries


def _reward_problems(reward: str, queries: list[Query]) -> list[InputError]:
    """Tell what is wrong with the reward, and which columns it reads in vain."""
    from neat_align.evaluation.audit.audit import reward_problems
    from neat_align.scoring import check_scorer_value, import_problems

    columns = set.intersection(*(set(query.meta) for query in queries)) if queries else None
    problems = check_scorer_value(reward, columns) or import_problems([reward])
    return problems or reward_problems(reward, reward)


def _drawn(rows: list[T], number: int | None, seed: int) -> list[T]:
    if number is None or number >= len(rows):
        return rows
    return random.Random(seed).sample(rows, number)
