"""Find groups that cannot be learnt from; draw them again, or leave them out.

The border of the run splits a group into good answers, which score above it, and bad ones.
Where all lie on one side, the group cannot show the policy what to prefer to what. A side that
brought out nothing of its kind is drawn again through the next channels and phrasings. Where
rewards order the answers in opposite ways, nobody knows what to prefer.
docs/decisions/0032-only-good-answers-are-imitated.md and 0036-rewards-that-may-be-wrong.md say
why.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from neat_align.errors import TrainingError
from neat_align.training.config import NEATConfig
from neat_align.training.group_maker import ScoredGroupMaker
from neat_align.training.notes import Notes
from neat_align.types import Group, Source

logger = logging.getLogger(__name__)


def failed_side(group: Group, border: float) -> Source | None:
    """Return the side whose kind of answer a scored group lacks; None where it has both.

    Positive where no answer is good, negative where none is bad.
    """
    good = sum(score > border for score in group.scores)
    if not good:
        return Source.POSITIVE
    return Source.NEGATIVE if good == len(group.responses) else None


def no_border(given: str, why: str) -> TrainingError:
    """Make the error for what asks which answers are good where nothing tells."""
    fix = "set good_above, the score above which an answer is good (in a recipe train.good_above)"
    return TrainingError(f"{given} without a border between good and bad answers", why, fix)


@dataclass
class Splitter:
    """Sees to it that groups hold a good and a bad answer, as far as the settings ask for it.

    Attributes:
        notes: know the border, and are told how many groups it does not split.
    """

    maker: ScoredGroupMaker
    args: NEATConfig
    notes: Notes
    accelerator: Any

    def check_border(self) -> None:
        """Make sure that there is a border where one is asked for.

        Raises:
            TrainingError: none was given, and the trial of the steering found none.
        """
        asked = {
            f"objective {self.notes.signal.objective.name!r}": self._objective_asks,
            f"resample_groups={self.args.resample_groups}": self.args.resample_groups,
            "drop_unsplit=True": self.args.drop_unsplit,
        }
        given = " and ".join(what for what, is_asked in asked.items() if is_asked)
        if given and self._border is None:
            why = (
                "the trial of the steering found none: nothing judged the answers, both sides "
                "score alike, or a reward also looks at how an answer was asked for"
            )
            raise no_border(given, why)

    def completed(self, groups: Sequence[Group], seed: int) -> list[Group]:
        """Draw the sides of groups that failed again, as often as is asked for.

        All ranks call it together.

        Args:
            seed: of the groups.
        """
        found, border = list(groups), self._border
        if border is None:
            return found
        drawn = 0
        for turn in range(1, self.args.resample_groups + 1):
            failed = [(i, side) for i, g in enumerate(found) if (side := failed_side(g, border))]
            failed = [(i, side) for i, side in failed if self.maker.plan.counts[side]]
            if not self._of_all_ranks(len(failed)):
                break
            drawn += sum(self.maker.plan.counts[side] for _, side in failed)
            self._draw_again(found, failed, seed, turn)
        self._note(found, border, drawn)
        return found

    def kept(self, groups: Sequence[Group]) -> list[Group]:
        """Leave out groups that are not split, and those in dispute, where that is asked for.

        A refresh of which nothing is left trains on nothing, and says so; the signal counts
        its groups among those that tell nothing, and ends the run where no others come. All
        ranks call it together.
        """
        splits, limit = self.args.drop_unsplit and self._border is not None, self.args.max_dispute
        if not splits and limit is None:
            return list(groups)
        agreed = self._agreed(groups, limit) if limit is not None else list(groups)
        kept = [group for group in agreed if not splits or self._is_split(group)]
        share = 1 - len(kept) / max(1, len(groups))
        self.notes.means.add({"groups/left_out": share}, len(groups))
        if not self._of_all_ranks(len(kept)):
            told = "every group of this refresh is left out (drop_unsplit, max_dispute): its steps"
            logger.warning("%s train on nothing", told)
        return kept

    def _agreed(self, groups: Sequence[Group], limit: float) -> list[Group]:
        """Leave out groups of which rewards dispute more pairs than the limit allows."""
        agreed = [group for group in groups if self.maker.scorers.dispute(group) <= limit]
        share = 1 - len(agreed) / max(1, len(groups))
        self.notes.means.add({"groups/disputed": share}, len(groups))
        return agreed

    def _is_split(self, group: Group) -> bool:
        return self._border is None or failed_side(group, self._border) is None

    def _draw_again(
        self, found: list[Group], failed: Sequence[tuple[int, Source]], seed: int, turn: int
    ) -> None:
        """Put new groups in the place of those that failed; one that did not come stays."""
        sides = [side for _, side in failed]
        made = self.maker.again([found[i] for i, _ in failed], sides, seed, turn)
        came = [(i, side, new) for (i, side), new in zip(failed, made) if new is not None]
        for i, _, new in came:
            found[i] = new
        groups, own = [new for *_, new in came], [side for _, side, _ in came]
        self.notes.add_scored(groups, self.maker.scorers, own)

    def _note(self, groups: Sequence[Group], border: float, drawn: int) -> None:
        count = len(groups)
        failed = [failed_side(group, border) for group in groups]
        named = {"groups/no_good": Source.POSITIVE, "groups/no_bad": Source.NEGATIVE}
        figures = {name: failed.count(side) / max(1, count) for name, side in named.items()}
        if self.args.resample_groups:
            figures["groups/drawn_again"] = drawn / max(1, count)
        self.notes.means.add(figures, count)

    def _of_all_ranks(self, count: int) -> int:
        own = torch.tensor([count], device=self.accelerator.device)
        return int(self.accelerator.gather(own).sum())

    @property
    def _border(self) -> float | None:
        return self.notes.signal.border

    @property
    def _objective_asks(self) -> bool:
        return self.notes.signal.objective.needs_border
