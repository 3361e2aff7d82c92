"""The alignment of a recipe's model: the steering is tried, then the policy is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neat_align.errors import raise_all
from neat_align.recipe import Recipe
from neat_align.recipe.check import negative_context
from neat_align.sampling.trial_result import TRIAL_FILE, SteeringTrial
from neat_align.storage.atomic import read_json
from neat_align.training.save_policy import save_policy
from neat_align.workflow import inputs
from neat_align.workflow.places import Places
from neat_align.workflow.recipe_settings import (
    Trial,
    objective,
    precision,
    training_arguments,
    training_scorers,
)


@dataclass
class Alignment:
    """A recipe's alignment, by one trainer as long as one process does all of it.

    Attributes:
        groups: stored, scored groups to train on instead of the recipe's queries.
        trial: what a pair that does not steer does to the training.
    """

    places: Places
    groups: Any = None
    trial: Trial = "stops"
    trainer: Any = None

    @property
    def trial_file(self) -> Path:
        """Where the training keeps what its trial found."""
        return self.places.train / TRIAL_FILE

    def try_steering(self) -> Mapping[str, Any]:
        """Try the steering pair by the model to be trained; the training then heeds the trial."""
        self.trainer = self._made()
        found = self.trainer.source.trial.make()
        return {"queries": found.queries, "verdict": found.verdict}

    def tried(self) -> SteeringTrial:
        """Read what the trial found."""
        return SteeringTrial.from_json(read_json(self.trial_file))

    def train(self, tried: bool = False) -> Any:
        """Train the policy and save it; resume from the last checkpoint.

        Args:
            tried: the steering was tried by `try_steering`, here or before an interruption.

        Returns:
            The `NEATTrainer`.
        """
        from neat_align.training.checkpoints import train_to_end

        trainer, self.trainer = self.trainer or self._made(), None  # its memory is wanted later
        if tried:
            trainer.source.trial.found = self.tried()
        train_to_end(trainer, self.places.train)
        save_policy(trainer, self.places.policy, self.places.sources)
        return trainer

    def _made(self) -> Any:
        """Load the model, and make the trainer."""
        from neat_align.models import load_causal_lm, load_tokenizer
        from neat_align.models.source import is_adapter
        from neat_align.training.adapters import lora_config
        from neat_align.training.requirements import batch_problems
        from neat_align.training.trainer import NEATTrainer

        recipe, base, groups = self.places.recipe, self.places.base, self.groups
        section = recipe.evaluate.during_training if recipe.evaluate else None
        scores = groups is None or section is not None
        adapter = lora_config(recipe.train.get("lora"))
        frozen = adapter is not None or is_adapter(base)
        rows = inputs.queries(recipe.queries, recipe.seed) if groups is None else groups
        settings = training_arguments(recipe, self.places.train, self.trial)
        raise_all(batch_problems(settings, len(rows)))  # before the model is loaded
        rewards = training_scorers(recipe, self.places.rewards) or None
        return NEATTrainer(
            # The Trainer moves it to the device.
            model=load_causal_lm(base, precision(recipe).weights(frozen), "cpu", trainable=True),
            reward_funcs=rewards if scores else None,
            args=settings,
            train_dataset=rows,
            eval_dataset=inputs.queries(section, recipe.seed) if section else None,
            processing_class=load_tokenizer(base),
            peft_config=adapter,
            callbacks=_watch(self.places),
            objective=objective(recipe),
            steering=recipe.pair,
            reward_weights=recipe.reward.weights if scores else None,
        )


def _watch(places: Places) -> list[Any]:
    """Make what watches the held-out reward during training, where the recipe asks for it."""
    from neat_align.scoring import Bound, bind_scorer, resolve_scorer
    from neat_align.training.reward_watch import RewardWatch

    recipe, section = places.recipe, places.recipe.evaluate
    if section is None or section.watch == "off":
        return []
    device, dtype = precision(recipe).device, recipe.model.dtype
    scorer = resolve_scorer(places.heldout_reward, device=device, dtype=dtype)
    bound = bind_scorer(scorer, Bound(steering=recipe.pair, data_answers=False))
    return [RewardWatch(bound, section.watch_rise, section.watch_falls, section.watch == "stop")]


def is_tried_apart(recipe: Recipe) -> bool:
    """Tell whether the steering can be tried before the training begins.

    Where a launcher's plugin spreads or moves the weights, they are only in their place once
    it has begun, and it is tried there.
    """
    from neat_align.sampling.trial import tried_phrasings

    spread = recipe.train.get("deepspeed") or recipe.train.get("fsdp")
    in_context = negative_context(recipe) > 0
    phrasings = tried_phrasings(recipe.pair, inputs.plan(recipe), in_context)
    return bool(recipe.try_queries and phrasings and not spread)
