"""Check models, optimisers and samplers that users give ready-made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from neat_align.errors import InputError, ModelError, RecipeError
from neat_align.models.fit import vocabulary_problems

logger = logging.getLogger(__name__)
OPTIMIZERS = "optimizers=(torch.optim.AdamW(model.parameters(), lr=1e-6), None)"
CLASS = "optimizer_cls_and_kwargs=(torch.optim.SGD, {'lr': 1e-3})"


def object_problems(model: Any) -> Iterator[InputError]:
    """Yield an error for a model of a kind, or in a state, in which it cannot answer."""
    given = f"a model of type {type(model).__name__}"
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        why = "it is an encoder-decoder: it has no one row of query and answer"
        yield ModelError(given, why, "give a decoder-only language model (…ForCausalLM)")
    if any(p.is_meta for p in getattr(model, "parameters", list)()):
        why = "weights of it are on the meta device, where they have no values"
        yield ModelError(given, why, "load it with from_pretrained(…), without device_map='meta'")


def say_unread(draws: bool, rewards: Any, sampler: Any, reference: Any, compares: bool) -> None:
    """Log which of the given objects this training will not use.

    Args:
        draws: whether responses are drawn and scored, to train or to evaluate.
        compares: whether something is compared with a reference model.
    """
    for name, given in (("reward_funcs", rewards), ("sampler", sampler)):
        if given is not None and not draws:
            logger.warning(
                "%s: not used, since stored groups keep their responses and scores", name
            )
    if reference is not None and not compares:
        logger.warning("reference_model: not used, since this objective compares with none")


def unmerge(model: Any) -> None:
    """Unmerge an adapter that was merged in place: merged, it is not trained."""
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer) and layer.merged:
            layer.unmerge()


def reference_problems(reference: Any, policy: Any, tokenizer: Any) -> list[InputError]:
    """List an error for a reference that shares the policy's weights or lacks tokens."""
    if reference is None:
        return []
    own = {id(p) for p in policy.parameters()}
    if any(id(p) in own for p in reference.parameters()):
        why = "it shares weights with the model, and would be trained along with it"
        fix = "leave it out: the model as it is now is the reference; or give a copy"
        return [ModelError("reference_model", why, fix)]
    return [
        ModelError(f"reference_model: {p.given}", p.why, "give one with the policy's tokenizer")
        for p in vocabulary_problems(reference, tokenizer)
    ]


def sampler_of(given: Any) -> Any:
    """Check what draws instead of the policy.

    Raises:
        RecipeError: something that draws nothing.
    """
    if given is None or (callable(getattr(given, "sample", None)) and not isinstance(given, type)):
        return given
    why = "it has no method sample(requests, decoding), which gives one Response for each request"
    fix = "give an instance of such a class, e.g. ScriptedSampler({'positive': ['…'], …}), or None"
    raise RecipeError(f"a sampler: {_kind(given)}", why, fix)


def optimizers_of(given: Any) -> tuple[Any, Any]:
    """Read the pair of optimiser and scheduler, None each where the settings make it.

    Raises:
        RecipeError: something else.
    """
    if given is None:
        return None, None
    if isinstance(given, torch.optim.Optimizer):
        return given, None
    wrong = f"optimizers of type {type(given).__name__}"
    if not isinstance(given, tuple | list) or len(given) != 2:
        why = "they are no pair of optimiser and scheduler"
        raise RecipeError(wrong, why, f"give {OPTIMIZERS}")
    optimizer, scheduler = given
    if optimizer is not None and (isinstance(optimizer, type) or not _steps(optimizer)):
        why = "it is no torch.optim.Optimizer"
        raise RecipeError(f"optimizers with {_kind(optimizer)}", why, f"give {OPTIMIZERS}")
    if scheduler is not None and (isinstance(scheduler, type | str) or not _steps(scheduler)):
        why = "it is no scheduler of the learning rate"
        raise RecipeError(f"optimizers with {_kind(scheduler)}", why, f"give {OPTIMIZERS}")
    return optimizer, scheduler


def _steps(value: Any) -> bool:
    return callable(getattr(value, "step", None)) and callable(getattr(value, "state_dict", None))


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"{value!r}"


def class_of(given: Any, optimizer: Any) -> tuple[Any, dict[str, Any]] | None:
    """Read the optimiser's class with its arguments; try them on one number.

    Raises:
        RecipeError: something else, arguments that it refuses, or an optimiser beside it.
    """
    if given is None:
        return None
    if optimizer is not None:
        why = "both say how to train"
        raise RecipeError("optimizers and optimizer_cls_and_kwargs", why, "give one of them")
    given = (given, {}) if isinstance(given, type) else given
    if not isinstance(given, tuple | list) or len(given) != 2 or not isinstance(given[1], Mapping):
        why = "it is no class of an optimiser with its arguments"
        raise RecipeError(f"optimizer_cls_and_kwargs={given!r}", why, f"give {CLASS}")
    made, arguments = given[0], dict(given[1])
    try:
        made([torch.zeros(1, requires_grad=True)], **arguments)
    except Exception as error:  # each optimiser raises its own
        name = getattr(made, "__name__", repr(made))
        why = " ".join(str(error).split())
        raise RecipeError(f"{name} with {arguments}", why, f"correct it, e.g. {CLASS}") from error
    return made, arguments


def optimizer_problems(optimizer: Any, model: Any) -> list[InputError]:
    """List an error for an optimiser that holds none of the weights to be trained."""
    if optimizer is None:
        return []
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    wanted = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    count = sum(p.requires_grad for p in model.parameters())
    if len(wanted) < count:
        return []  # some of them: the user's choice
    why = "it holds none of the weights that are trained: the policy would stay as it is"
    fix = (
        "make it from the parameters of the model that you give; with peft_config, give "
        f"{CLASS} instead"
    )
    return [RecipeError(f"an optimizer of type {type(optimizer).__name__}", why, fix)]
