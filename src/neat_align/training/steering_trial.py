"""The steering pair is tried before the first step, by the model that training begins with.

It takes place where the first groups are about to be drawn: the weights lie where training
has them, and every rank is there. One rank decides for all. Nothing of it reaches training:
its responses have seeds of their own, and the random states are as before.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list

from neat_align.errors import SteeringError
from neat_align.sampling.trial import Prompt, draw_trial, tried_prompts, tried_queries
from neat_align.sampling.trial_text import ADVICE, summary, told
from neat_align.sampling.verdict import NOT_JUDGED, STOPS, SteeringTrial, judged
from neat_align.storage.atomic import atomic_write_json

if TYPE_CHECKING:
    from neat_align.training.trainer import NEATTrainer

TRIAL_FILE = "steering_trial.json"
WAY_OUT = (
    f"{ADVICE}. `neat steering try` tries other phrasings; a run with them wants a new directory. "
    "Where the difference is small, try more queries (steering.try_queries=32; in Python "
    "steering_try_queries=32; 0 tries none). To go on all the same: add --force, and --resume in "
    "the same directory (in Python steering_force=True)"
)

logger = logging.getLogger(__name__)


def try_steering(trainer: NEATTrainer) -> None:
    """Try the pair, keep what came of it, and stop a run that it cannot steer.

    Raises:
        SteeringError: a side does not do what it says, and going on was not asked for.
        RewardError: what a scorer raises.
    """
    prompts = _used_prompts(trainer)
    if not prompts:
        return
    trial = _of_all_ranks(trainer, prompts)
    trainer.steering_trial = trial
    trainer.log(_figures(trial))
    if trainer.is_world_process_zero():
        path = Path(str(trainer.args.output_dir)) / TRIAL_FILE
        atomic_write_json(path, trial.to_json())
        _tell(trial, trainer.args.steering_force)
    if trial.verdict == STOPS and not trainer.args.steering_force:
        raise stopped(trial)


def stopped(trial: SteeringTrial) -> SteeringError:
    """The error of a trial that shows no steering, with its answers."""
    return SteeringError(told(trial), "; ".join(trial.problems), WAY_OUT)


def _used_prompts(trainer: NEATTrainer) -> list[Prompt]:
    """The prompts of the sides that this training uses."""
    maker, pair = trainer.maker, trainer.steering
    if maker is None or pair is None:
        return []
    negative = maker.plan.negative > 0 or trainer.negative_context > 0
    return tried_prompts(pair, maker.plan.positive > 0, negative)


def _of_all_ranks(trainer: NEATTrainer, prompts: list[Prompt]) -> SteeringTrial:
    """The trial as the first rank finds it; an error that it meets is everybody's."""
    accelerator = trainer.accelerator
    found: list[Any] = [None]
    # Engines draw for all ranks at once, so with one of them all ranks ask.
    if accelerator.is_main_process or trainer.engine is not None:
        try:
            with _untouched_random_states():
                found = [_trial(trainer, prompts)]
        except Exception as error:  # raised below, on all ranks
            if accelerator.num_processes == 1:
                raise
            found = [error]
    if accelerator.num_processes > 1:
        broadcast_object_list(found, from_process=0)
    (trial,) = found
    if isinstance(trial, Exception):
        raise trial
    return trial


def _trial(trainer: NEATTrainer, prompts: list[Prompt]) -> SteeringTrial:
    args, maker, pair = trainer.args, trainer.maker, trainer.steering
    assert maker is not None
    assert pair is not None
    queries = tried_queries(trainer.train_dataset, args.steering_try_queries, args.seed)
    if trainer.engine is not None:
        trainer.engine.renew(queries, pair.negative)
    drawn = draw_trial(maker, queries, prompts, args.seed)
    groups = maker.scorers.score(drawn) if drawn else []
    maker.scorers.take_metrics()  # of a reward function: those of training alone are logged
    maker.scorers.take_extras()
    return judged(groups, pair.name, maker.scorers.judging)


def _figures(trial: SteeringTrial) -> dict[str, float]:
    return {f"steering/{side}": mean for side, mean in trial.means.items()}


def _tell(trial: SteeringTrial, force: bool) -> None:
    shown = logging.WARNING if trial.verdict == NOT_JUDGED else logging.INFO
    logger.log(shown, "%s", told(trial))
    for text in trial.warnings:
        logger.warning("steering %r: %s", trial.steering, text)
    if trial.verdict == STOPS and force:
        problems = "; ".join(trial.problems)
        logger.warning("%s: going on as asked, although %s", summary(trial), problems)


@contextlib.contextmanager
def _untouched_random_states() -> Iterator[None]:
    """What the block draws from Python's, numpy's and torch's generators is undone."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
