"""Put the parts of a training together: model, reference, rewards, and the maker of groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from neat_align.models.layout.packable import prepare_for_packing
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.steering import Steering
from neat_align.sampling.local import TransformersSampler
from neat_align.scoring import Bound, Need, ScorerSet, bind_scorer, needs_of, resolve_scorer
from neat_align.training.adapters import with_adapter
from neat_align.training.argument_values import reference_of, tokenizer_of
from neat_align.training.checks import check_conversations, check_model, check_objects
from neat_align.training.dropout import disable_dropout
from neat_align.training.entries import Entries
from neat_align.training.given import Given
from neat_align.training.given_objects import say_unread, unmerge
from neat_align.training.group_maker import ScoredGroupMaker
from neat_align.training.notes import CompletionsLog, Notes
from neat_align.training.reference import Reference, ReferenceSampler
from neat_align.training.run_signal import ScoreSignal


@dataclass(frozen=True)
class Trained:
    """The model to train, ready for it.

    Attributes:
        came_with_adapter: whether it had an adapter before one was asked for.
        dropout: what its config said of dropout, where that was turned off.
        prompt_format: by its tokenizer.
    """

    model: Any
    came_with_adapter: bool
    dropout: dict[str, Any]
    prompt_format: PromptFormat


@dataclass(frozen=True)
class Parts:
    """What a trainer works with.

    Attributes:
        reference: None where nothing is compared with one.
        maker: samples and scores groups; None where none are drawn.
    """

    trained: Trained
    reference: Reference | None
    notes: Notes
    entries: Entries
    maker: ScoredGroupMaker | None


def assembled(given: Given, policy: Callable[[], Any]) -> Parts:
    """Load and make what was asked for.

    Args:
        policy: gives the policy for a `with` block, once training has begun.

    Raises:
        InputError: it cannot be loaded, or does not fit together.
    """
    trained = _trained(given)
    reference = _reference(given, trained)
    log = CompletionsLog(Path(str(given.args.output_dir)), given.args.log_completions)
    notes = Notes(ScoreSignal(given.objective, given.args.good_above), log)
    entries = Entries(
        given.trained,
        given.args,
        trained.prompt_format,
        reference if given.objective.needs_reference else None,
        given.steering.negative if given.steering else (),
        given.negative_context,
        notes.stopwatch,
    )
    maker = None
    if given.samples and given.steering is not None:
        scorers = _scorers(given, given.steering, trained, reference, policy)
        maker = _maker(given, given.steering, trained, reference, scorers)
        maker.stopwatch = notes.stopwatch
    return Parts(trained, reference, notes, entries, maker)


def _trained(given: Given) -> Trained:
    """Load the model and its tokenizer, with an adapter where one is asked for."""
    asked, args = given.arguments, given.args
    tokenizer = tokenizer_of(asked.processing_class, asked.model, given.loading.revision)
    prompt_format = PromptFormat(tokenizer, args.template_arguments)
    check_conversations(given, prompt_format)
    model = given.load_model()
    unmerge(model)
    model, came_with_adapter = with_adapter(model, given.peft_config, args.seed)
    check_model(model, args, tokenizer)
    dropout = disable_dropout(model) if args.disable_dropout else {}
    if args.packed:
        prepare_for_packing(model.get_base_model() if isinstance(model, PeftModel) else model)
    return Trained(model, came_with_adapter, dropout, prompt_format)


def _reference(given: Given, trained: Trained) -> Reference | None:
    """Make the reference where the objective, the sampling or a reward asks for one."""
    other = reference_of(given.arguments.reference_model)
    check_objects(given, trained.model, other, trained.prompt_format.tokenizer)
    args = given.args
    asked = given.samples and (
        args.reference_negative_fraction > 0
        or args.plausibility > 0
        or any(Need.REFERENCE in needs_of(reward) for reward in given.rewards)
    )
    compares = given.objective.needs_reference or asked
    say_unread(given.samples, given.arguments.reward_funcs, given.sampler, other, compares)
    return Reference(trained.model, other, trained.came_with_adapter) if compares else None


def _scorers(
    given: Given,
    steering: Steering,
    trained: Trained,
    reference: Reference | None,
    policy: Callable[[], Any],
) -> ScorerSet:
    """Make the rewards, and the plausibility where it has a weight, with what they need."""
    args, rewards, weights = given.args, given.rewards, given.arguments.reward_weights
    weights = list(weights) if weights is not None else [1.0] * len(rewards)
    if args.plausibility:
        rewards, weights = [*rewards, "plausibility"], [*weights, args.plausibility]
    bound = Bound(
        policy=policy,
        reference=reference.model if reference else None,
        prompt_format=trained.prompt_format,
        steering=steering,
        data_answers=args.add_data_responses,
        max_tokens=args.max_tokens_per_pass,
    )
    made = [resolve_scorer(reward, device=args.device) for reward in rewards]
    return ScorerSet([bind_scorer(s, bound) for s in made], weights, args.combination)


def _maker(
    given: Given,
    steering: Steering,
    trained: Trained,
    reference: Reference | None,
    scorers: ScorerSet,
) -> ScoredGroupMaker:
    """Make what samples and scores groups from the policy, or from what is given instead."""
    args, form = given.args, trained.prompt_format
    size, share = args.sampling_batch_size, args.reference_negative_fraction
    return ScoredGroupMaker(
        policy=given.sampler or TransformersSampler(trained.model, form, "policy", size),
        reference=ReferenceSampler(reference, form, size) if share > 0 else None,
        scorers=scorers,
        steering=steering,
        plan=args.plan,
        decoding=args.decoding,
        reference_negative_fraction=share,
        add_data_answers=args.add_data_responses,
    )
