"""The optimiser and the scheduler that the settings ask for, made once before any model is.

Names and limits are checked without torch (`settings`); what is left, only the real parts can
say: a value that an optimiser refuses, an argument of a scheduler.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import Trainer
from transformers.optimization import get_scheduler

from neat_align.errors import InputError, RecipeError
from neat_align.training.trainer_names import LOW_RANK

NEED_THE_MODEL = (*LOW_RANK, "lomo", "adalomo")
STEPS = 1000  # of a training whose length depends on its data


def trial_problems(args: Any) -> list[InputError]:
    """Find what the settings' optimiser and scheduler say against being made.

    Args:
        args: `TrainingArguments` that have been initialised.
    """
    if args.deepspeed or str(args.optim.value).startswith(NEED_THE_MODEL):
        return []
    try:
        optimizer = _optimizer(args)
    except Exception as error:  # each optimiser raises its own
        given = f"optim={args.optim.value!r}" + (f", {args.optim_args!r}" * bool(args.optim_args))
        return [RecipeError(given, said(error), "correct it, or use another optimiser")]
    return list(_scheduler_problems(args, optimizer))


def said(error: BaseException) -> str:
    """Return what an error of another library says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _optimizer(args: Any) -> Any:
    made, arguments = Trainer.get_optimizer_cls_and_kwargs(args, None)
    return made([torch.zeros(1, device=args.device, requires_grad=True)], **arguments)


def _scheduler_problems(args: Any, optimizer: Any) -> Iterator[InputError]:
    steps = args.max_steps if args.max_steps > 0 else STEPS
    try:
        scheduler = get_scheduler(
            args.lr_scheduler_type,
            optimizer,
            args.get_warmup_steps(steps),
            steps,
            args.lr_scheduler_kwargs,
        )
        for rate in getattr(scheduler, "lr_lambdas", ()):
            for step in (0, steps // 2, steps):
                rate(step)
    except Exception as error:
        given = f"lr_scheduler_type={args.lr_scheduler_type.value!r}"
        given += f" with {args.lr_scheduler_kwargs}" * bool(args.lr_scheduler_kwargs)
        yield RecipeError(given, said(error), "correct lr_scheduler_kwargs, or use another one")
