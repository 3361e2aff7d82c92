"""Watch a scorer that training never sees: do the training reward and it part ways?

In each evaluation during training both score the plain responses to the held-out queries, what
the policy answers unasked. Where the watched score falls several times in a row, and meanwhile
the training reward rises, the policy is learning what only the training reward likes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback

from neat_align import defaults
from neat_align.errors import InputError, RecipeError
from neat_align.evaluation.results import PARTED
from neat_align.sampling.plan import GroupPlan
from neat_align.scoring import Scorer
from neat_align.scoring.base import Unscored
from neat_align.training.records import Records
from neat_align.training.running_means import Weighted
from neat_align.types import Group, Source

logger = logging.getLogger(__name__)

TRAINED, WATCHED, SPREAD = "eval/reward/plain", "eval/watched_reward", "eval/signal/spread"

Rows = Sequence[Mapping[str, Any]]


class RewardWatch(TrainerCallback):
    """Compares the training reward with one that training never sees, at every evaluation.

    Args:
        scorer: watched; bound to what it needs.
        rise: by more than so many spreads of the training's scores has its reward risen …
        falls: … while the watched one fell in at least so many evaluations in a row.
        stops: whether that ends the training, with a checkpoint; else it is only told.
    """

    def __init__(
        self,
        scorer: Scorer,
        rise: float = defaults.WATCH_RISE,
        falls: int = defaults.WATCH_FALLS,
        stops: bool = True,
    ) -> None:
        self.scorer, self.rise, self.falls, self.stops = scorer, rise, falls, stops

    def figures(self, groups: Sequence[Group], spread: float) -> Weighted:
        """Score the plain responses of held-out groups: their mean, and the spread beside it."""
        plain = [
            Group(group.query, own)
            for group in groups
            if (own := tuple(r for r in group.responses if r.source == Source.PLAIN))
        ]
        table = self.scorer.score(plain) if plain else []
        scores = [s for row in table for s in row if s is not None and not isinstance(s, Unscored)]
        mean = sum(scores) / len(scores) if scores else 0.0
        return {"watched_reward": (mean, len(scores)), "signal/spread": (spread, len(plain))}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop a resumed run where it had stopped."""
        if self.stops and parting(state.log_history):
            control.should_training_stop = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at all evaluations so far; tell, and stop, where the two rewards part."""
        reason = parted(state.log_history, self.rise, self.falls)
        if not reason:
            return
        state.log_history[-1][PARTED] = reason
        what = "stopping" if self.stops else "going on"
        if state.is_world_process_zero:
            logger.warning("THE REWARDS PART at step %d, %s: %s", state.global_step, what, reason)
        if self.stops:
            control.should_training_stop = control.should_save = True


def watches(callbacks: Iterable[Any]) -> list[RewardWatch]:
    """List those of the callbacks that watch a reward."""
    return [one for one in callbacks if isinstance(one, RewardWatch)]


def parting(history: Rows) -> str:
    """Return what the last evaluation that found the rewards parted said of them; "" for none."""
    return next((str(row[PARTED]) for row in reversed(history) if PARTED in row), "")


def parted(history: Rows, rise: float, falls: int) -> str:
    """Tell how the two rewards part at the end of a history; "" where they do not.

    The watched reward's last falls in a row, however many, are looked at together: there must
    be `falls` of them, and over them the training reward has to rise by more than `rise` of
    the last evaluation's spreads.
    """
    rows = [row for row in history if WATCHED in row and TRAINED in row]
    start = len(rows) - 1
    while start > 0 and rows[start][WATCHED] < rows[start - 1][WATCHED]:
        start -= 1
    count = len(rows) - 1 - start
    if not rows or count < falls:
        return ""
    first, last = rows[start], rows[-1]
    risen, spread = last[TRAINED] - first[TRAINED], last.get(SPREAD, 0.0)
    if risen <= rise * spread:
        return ""
    return (
        f"since step {first['step']} the training reward of plain answers has risen by "
        f"{risen:.3g} (spread of its scores: {spread:.3g}), while the watched reward fell in "
        f"{count} evaluations in a row, from {first[WATCHED]:.3g} to {last[WATCHED]:.3g}"
    )


def watch_problems(
    callbacks: Sequence[Any], sets: Mapping[str, Records], plan: GroupPlan
) -> Iterator[InputError]:
    """Tell why nothing would be seen: there are no held-out queries, or no plain responses."""
    count = len(watches(callbacks))
    if not count:
        return
    if count > 1:
        fix = "give one RewardWatch"
        yield RecipeError(f"{count} rewards to watch", "one figure is logged", fix)
    if list(sets) != [""] or not sets[""].are_queries:
        why = "it scores the answers to one set of held-out queries, and there is none"
        fix = "give queries as eval_dataset (in a recipe evaluate.during_training)"
        yield RecipeError("a reward to watch", why, fix)
    if not plan.plain:
        why = "it scores what the policy answers without a prompt, and no such answer is drawn"
        fix = "set plain_samples (in a recipe sample.plain) to 1 or more"
        yield RecipeError("a reward to watch", why, fix)
