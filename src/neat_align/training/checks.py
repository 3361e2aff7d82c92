"""Every reason to refuse a training, in the order in which they can be known.

Each of these functions raises all that it finds at once, as an `InputError` or `SeveralErrors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from peft import PeftModel

from neat_align.errors import InputError, raise_all
from neat_align.models.context import check_fits, context_length
from neat_align.models.fit import vocabulary_problems
from neat_align.models.padding import padding_problems
from neat_align.prompts.chat import PromptFormat, conversation_problems
from neat_align.prompts.phrasing import Phrasing
from neat_align.sampling.from_data import column_problems
from neat_align.scoring.combination import dispute_problems
from neat_align.training.adapters import frozen_problems, quantised_problems
from neat_align.training.arguments import Arguments
from neat_align.training.config import NEATConfig
from neat_align.training.engines import engine_problems
from neat_align.training.given import Given, read_arguments
from neat_align.training.given_objects import optimizer_problems, reference_problems
from neat_align.training.launch import launch_problems
from neat_align.training.measured import trainer_name
from neat_align.training.objective_terms import objective_problems
from neat_align.training.precision import precision_problems
from neat_align.training.records import sets_of
from neat_align.training.requirements import evaluation_needs, training_needs
from neat_align.training.sharding import sharding_problems
from neat_align.types import Query

FRAME = 128  # tokens that a template may put around the texts of a conversation, at most


def checked_arguments(arguments: Arguments, unknown: Mapping[str, Any]) -> Given:
    """Read the arguments of a `NEATTrainer`, and refuse what does not fit together.

    Args:
        unknown: those that it does not take.
    """
    given = read_arguments(arguments, unknown)
    objective, args, pair = given.objective, given.args, given.steering
    scored = bool(given.rewards)
    raise_all(
        [
            *training_needs(objective, args, given.negative_context, pair, given.trained, scored),
            *objective_problems(objective),
            *_combination_problems(given),
            *evaluation_needs(objective, args, pair, given.held_out, scored, given.callbacks),
        ]
    )
    if args.metric_for_best_model is not None:
        names = list(sets_of(given.held_out))
        args.metric_for_best_model = trainer_name(args.metric_for_best_model, names)
    return given


def _combination_problems(given: Given) -> list[InputError]:
    """Tell why the rewards of sampled answers cannot be combined as asked."""
    args, weights = given.args, given.arguments.reward_weights
    if not given.samples or not given.rewards:
        return []
    own = list(weights) if weights is not None else [1.0] * len(given.rewards)
    more = args.plausibility > 0
    return [
        *args.combination.problems(own, more),
        *dispute_problems(args.max_dispute, sum(w != 0 for w in own) + more),
    ]


def check_conversations(given: Given, prompt_format: PromptFormat) -> None:
    """Refuse queries that the chat template refuses, or that lack an answer of their data."""
    phrasings = [one for _, one in given.args.plan.phrasings(given.steering)]
    for records in given.sets:
        if records.are_queries:
            raise_all(column_problems(records, phrasings))
        asked = (item if isinstance(item, Query) else item.query for item in records)
        raise_all(conversation_problems(asked, prompt_format))


def check_model(model: Any, args: NEATConfig, tokenizer: Any) -> None:
    """Refuse a model that cannot be trained so."""
    trained = [*quantised_problems(model), *precision_problems(model, args)]
    raise_all(frozen_problems(model) or trained)
    raise_all(vocabulary_problems(model, tokenizer) or padding_problems(model))


def check_objects(given: Given, model: Any, reference: Any, tokenizer: Any) -> None:
    """Refuse a reference model or an optimiser that does not belong to the model."""
    raise_all(
        [
            *reference_problems(reference, model, tokenizer),
            *optimizer_problems(given.optimizers[0], model),
        ]
    )


def check_launch(given: Given, model: Any, accelerator: Any, prompt_format: PromptFormat) -> None:
    """Refuse what shows once processes and devices are known."""
    args, draws = given.args, given.samples and given.sampler is None
    problems: list[InputError] = launch_problems(accelerator, args.processes)
    raise_all(problems or sharding_problems(accelerator, isinstance(model, PeftModel)))
    raise_all(engine_problems(args, model, accelerator, draws))
    pair = given.steering
    prompts = map(Phrasing, (*pair.positive, *pair.negative) if pair else ())
    phrasings = [Phrasing(), *prompts, *(one for _, one in args.plan.phrasings(pair))]
    for records in given.sets if draws else ():
        if records.are_queries:
            check_queries_fit(model, records, prompt_format, phrasings, args)


def check_queries_fit(
    model: Any,
    queries: Sequence[Query],
    prompt_format: PromptFormat,
    phrasings: Sequence[Phrasing],
    args: NEATConfig,
) -> None:
    """Make sure that every query, steered and answered, fits into the model.

    Raises:
        DataError: some do not.
    """
    limit = context_length(model)
    if limit is None:
        return
    longest = max(phrasings, key=_size)
    room = limit - args.max_new_tokens - FRAME - _size(longest)

    def lengths() -> Iterator[tuple[str, int]]:
        for query in queries:
            # A token spells a byte at least, so most queries need not be tokenised.
            size = sum(len(m.content.encode()) + FRAME for m in query.messages)
            if size > room or query.tools or any(m.extra for m in query.messages):
                asked = prompt_format.query_ids(longest.before(query), longest.system)
                begun = prompt_format.prefix_ids(longest.prefix, query) if longest.prefix else []
                yield query.id, len(asked) + len(begun) + args.max_new_tokens

    check_fits(
        model,
        lengths(),
        f"prompt and response (steering and max_new_tokens={args.max_new_tokens} included)",
        "leave such queries out, shorten them, or lower max_new_tokens",
    )


def _size(phrasing: Phrasing) -> int:
    """Return the bytes that a phrasing adds, with what a template puts around its turns."""
    turns = [text for turn in phrasing.turns for text in turn]
    texts = (phrasing.system, *turns, phrasing.prefix)
    return sum(len(text.encode()) for text in texts) + FRAME * len(turns)
