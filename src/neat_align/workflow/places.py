"""A recipe, and where the models lie that are trained for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neat_align.recipe import Recipe, RewardTraining
from neat_align.storage.identity import Sources
from neat_align.storage.runs import RunDirectory

Role = Literal["model", "reward", "heldout"]
FOLDERS: Mapping[Role, str] = {
    "model": "model",
    "reward": "reward",
    "heldout": "heldout_reward",
}
"""Where a run keeps each model that its recipe trains."""


@dataclass(frozen=True)
class Places:
    """A recipe with the directories of its models; a run has them, and a comparison's cell.

    Attributes:
        trained: directories of what the recipe trains before alignment.
        train: checkpoints and metrics of the alignment.
        policy: the aligned model.
        sources: what the run is made from, for the policy's card.
    """

    recipe: Recipe
    trained: Mapping[Role, Path]
    train: Path
    policy: Path
    sources: Sources | None = None

    @classmethod
    def of(cls, recipe: Recipe, run: RunDirectory) -> Places:
        """Return the places within a run's directory."""
        trained = {role: run.path(folder) for role, folder in FOLDERS.items()}
        return cls(recipe, trained, run.path("train"), run.path("policy"), run.sources())

    @property
    def base(self) -> str:
        """The model that alignment starts from."""
        return self.recipe.model.path or str(self.trained["model"])

    @property
    def rewards(self) -> list[str]:
        """The scorers of the training, the one trained for it included."""
        reward = self.recipe.reward
        return reward.names + ([str(self.trained["reward"])] if reward.train else [])

    @property
    def heldout_reward(self) -> str | None:
        """The scorer that training never sees."""
        section = self.recipe.evaluate
        heldout = section.heldout_reward if section else None
        return str(self.trained["heldout"]) if isinstance(heldout, RewardTraining) else heldout


def heldout_training(recipe: Recipe) -> RewardTraining | None:
    """Return how the held-out scorer is trained, where the recipe trains one."""
    section = recipe.evaluate.heldout_reward if recipe.evaluate else None
    return section if isinstance(section, RewardTraining) else None
