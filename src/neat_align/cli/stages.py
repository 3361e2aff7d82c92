"""The options of single stages: train, evaluate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from neat_align import defaults
from neat_align.cli.decoding import with_decoding
from neat_align.cli.devices import (
    DeviceOption,
    DtypeOption,
    RecipeDevice,
    RecipeDtype,
    as_overrides,
    option_problems,
)
from neat_align.cli.json_option import json_object
from neat_align.cli.options import (
    Batch,
    DataOption,
    Force,
    QueriesIfAny,
    Seed,
    SkipMissing,
    SteeringOption,
    SuiteOption,
    TaskLimit,
    TaskOption,
    TemplateArguments,
)
from neat_align.cli.warnings import warn
from neat_align.config import NEATSettings
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.models import AUTO

if TYPE_CHECKING:
    from neat_align.sampling.base import Decoding

console = Console(soft_wrap=True, highlight=False)


def train(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe's name, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings of the recipe: section.key=value.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(help="Train offline on these stored, scored groups.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory of the training.")
    ] = Path("runs/train"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the last checkpoint.")
    ] = False,
    force: Force = False,
    device: RecipeDevice = None,
    dtype: RecipeDtype = None,
) -> None:
    """Run the training stage of a recipe alone: online, or offline on stored groups.

    Example: neat train mine.yaml --groups scored.jsonl --output runs/offline
    Example: torchrun --nproc_per_node 8 -m neat_align train mine.yaml --output runs/online
    """
    from neat_align.recipe import load_recipe, recipe_warnings
    from neat_align.workflow.pipeline import train_only

    loaded = load_recipe(recipe, [*(overrides or ()), *as_overrides(device, dtype)])
    is_first = os.environ.get("RANK", "0") == "0"
    warn(recipe_warnings(loaded) if is_first else ())
    say = console.print if is_first else (lambda text: None)
    tried = train_only(loaded, output, groups, resume, force, say)
    if is_first:
        console.print(tried) if tried else None
        console.print(f"written: {output / 'policy'}")


@with_decoding
def evaluate(
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="name=directory; call the unaligned one base."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New directory.")],
    decoding: Decoding,
    queries: QueriesIfAny = None,
    steering: SteeringOption = None,
    reward: Annotated[
        str | None, typer.Option(help="The scorer that training used: model or function.")
    ] = None,
    heldout_reward: Annotated[
        str | None, typer.Option(help="A scorer that training never saw.")
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="A function that gives 1 where an answer keeps the rule, else 0."),
    ] = None,
    checker: Annotated[
        str | None,
        typer.Option(
            help="file.py:function of (query, text) that returns a verdict, or `reading` or "
            "`judge`, which tell refusals from help; queries need a `kind`."
        ),
    ] = None,
    task: TaskOption = None,
    suite: SuiteOption = None,
    data: DataOption = None,
    skip_missing: SkipMissing = False,
    task_limit: TaskLimit = None,
    chat_template_kwargs: TemplateArguments = None,
    prompt: Annotated[
        bool, typer.Option(help="Also the base under the positive prompts, without training.")
    ] = True,
    samples_per_query: Annotated[
        int, typer.Option(min=1, help="Responses per query.")
    ] = defaults.SAMPLES_PER_QUERY,
    batch_size: Batch = NEATSettings.sampling_batch_size,
    device: DeviceOption = AUTO,
    dtype: DtypeOption = AUTO,
    seed: Seed = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the same evaluation; ask again what failed."),
    ] = False,
) -> None:
    """Compare models on held-out queries, plain and under negative prompts, and by benchmarks.

    The steering pair of a policy that was trained here is known from its directory; for
    other models, give it. Benchmarks need no queries. If one fails, the others go on, and the
    exit code is 1.

    Example: neat evaluate -m base=./model -m neat=runs/x/policy -q test.jsonl --reward ./rm -o out
    Example: neat evaluate -m base=./model -m neat=runs/x/policy --suite bias --data ./sets -o out
    """
    from neat_align.cli.evaluation import Asked, evaluate_asked
    from neat_align.cli.told import tell_evaluation
    from neat_align.evaluation.assembly import Place
    from neat_align.evaluation.safety import checker_place
    from neat_align.evaluation.suite import EvaluationSettings
    from neat_align.workflow.asked_benchmarks import Benchmarks

    raise_all(option_problems(device, dtype))
    arguments = None
    if chat_template_kwargs is not None:
        arguments = json_object(chat_template_kwargs, "--chat-template-kwargs")
    settings = EvaluationSettings(decoding, seed, samples_per_query)
    named = {"train": reward, "heldout": heldout_reward, "rule": rule}
    judge = checker and checker_place(checker)
    benchmarks = Benchmarks(task or (), suite or (), data or (), task_limit, skip_missing)
    asked = Asked(_named_paths(model), queries, steering, named, judge, benchmarks, prompt)
    place = Place(device, dtype, batch_size, arguments)
    evaluation = evaluate_asked(asked, settings, output, place, resume)
    samples = {name: result.samples for name, result in evaluation.models.items()}
    tell_evaluation(evaluation.to_json(), samples, output, console.print)
    if "failed" in evaluation.about:
        raise typer.Exit(1)


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
