"""Try the steering pair before the first step, by the model that training begins with.

It takes place when it is asked for (`trainer.source.trial.make()`, a stage of its own in
`neat run`), or else where the first groups are about to be drawn: the weights lie where
training has them, and every rank is there. One rank decides for all. Nothing of it reaches
training: its responses have seeds of their own, and the random states are as before. What it
found is heeded there, and there alone.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list

from neat_align.errors import SteeringError
from neat_align.sampling.trial import Tried, draw_trial, tried_phrasings, tried_queries
from neat_align.sampling.trial_result import NOT_JUDGED, STOPS, TRIAL_FILE, SteeringTrial
from neat_align.sampling.trial_text import ADVICE, summary, told
from neat_align.sampling.verdict import judged
from neat_align.storage.atomic import atomic_write_json
from neat_align.training.config import NEATConfig
from neat_align.training.group_maker import ScoredGroupMaker
from neat_align.training.records import Records

WAY_OUT = (
    f"{ADVICE}. `neat steering try` tries other phrasings; a run with them wants a new directory. "
    "Where the difference is small, try more queries (steering.try_queries=32; in Python "
    "steering_try_queries=32; 0 tries none). To go on all the same: add --force, and --resume in "
    "the same directory (in Python steering_force=True)"
)

logger = logging.getLogger(__name__)


@dataclass
class FirstTrial:
    """The trial of a training's steering pair, made at most once.

    Attributes:
        queries: of the training data; some of them are tried.
        in_context: whether the negative prompts also stand before queries that are trained on.
        note: is told what came of it, before a run that cannot be steered is stopped.
        found: what came of it; what a training before its interruption found may be put here.
    """

    maker: ScoredGroupMaker
    queries: Records
    args: NEATConfig
    accelerator: Any
    in_context: bool
    note: Callable[[SteeringTrial], None]
    found: SteeringTrial | None = None
    heeded: bool = False

    def run_before(self, step: int) -> None:
        """Try the pair before the first step, and stop a run that it cannot steer.

        All ranks call it together.

        Raises:
            SteeringError: a side does not do what it says, and going on was not asked for.
            RewardError: what a scorer raises.
        """
        if step or self.heeded or not self.args.steering_try_queries:
            return
        self.heeded, trial = True, self.make()
        if trial is None:
            return
        self.note(trial)
        if trial.verdict == STOPS and not self.args.steering_force:
            raise stopped(trial)
        if self.accelerator.is_main_process:
            _warn(trial)

    def make(self) -> SteeringTrial | None:
        """Try the pair unless that was done; None where nothing steers a response.

        All ranks call it together.
        """
        maker = self.maker
        phrasings = tried_phrasings(maker.steering, maker.plan, self.in_context)
        if self.found is None and phrasings:
            self.found = self._of_all_ranks(phrasings)
            if self.accelerator.is_main_process:
                folder = Path(str(self.args.output_dir))
                atomic_write_json(folder / TRIAL_FILE, self.found.to_json())
                shown = logging.WARNING if self.found.verdict == NOT_JUDGED else logging.INFO
                logger.log(shown, "%s", told(self.found))
        return self.found

    def _of_all_ranks(self, phrasings: list[Tried]) -> SteeringTrial:
        """Return the trial as the first rank finds it; an error that it meets is everybody's."""
        found: list[Any] = [None]
        # Engines draw for all ranks at once, so with one of them all ranks ask.
        if self.accelerator.is_main_process or self.maker.engine is not None:
            try:
                with _untouched_random_states():
                    found = [self._trial(phrasings)]
            except Exception as error:  # raised below, on all ranks
                if self.accelerator.num_processes == 1:
                    raise
                found = [error]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(found, from_process=0)
        (trial,) = found
        if isinstance(trial, Exception):
            raise trial
        return trial

    def _trial(self, phrasings: list[Tried]) -> SteeringTrial:
        maker, args = self.maker, self.args
        queries = tried_queries(self.queries, args.steering_try_queries, args.seed)
        maker.renew(queries)
        with self.accelerator.autocast():  # as in training, where the model does so by itself
            drawn = draw_trial(maker, queries, phrasings, args.seed)
        groups = maker.scorers.score(drawn) if drawn else []
        maker.scorers.take_metrics()  # of a reward function: those of training alone are logged
        maker.scorers.take_extras()
        return judged(groups, maker.steering.name, maker.scorers.judging)


def figures(trial: SteeringTrial) -> dict[str, float]:
    """Return what is logged of a trial."""
    return {f"steering/{side}": mean for side, mean in trial.means.items()}


def stopped(trial: SteeringTrial) -> SteeringError:
    """Return the error of a trial that shows no steering, with its answers."""
    return SteeringError(told(trial), "; ".join(trial.problems), WAY_OUT)


def _warn(trial: SteeringTrial) -> None:
    for text in trial.warnings:
        logger.warning("steering %r: %s", trial.steering, text)
    if trial.verdict == STOPS:
        problems = "; ".join(trial.problems)
        logger.warning("%s: going on as asked, although %s", summary(trial), problems)


@contextlib.contextmanager
def _untouched_random_states() -> Iterator[None]:
    """Undo what the block draws from Python's, numpy's and torch's generators."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
