"""Settings of a NEAT run: the Trainer's own, and what online group sampling adds."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, TypeVar

from transformers import TrainingArguments
from transformers.trainer_pt_utils import AcceleratorConfig

from neat_align.config import NEATSettings
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.sampling.base import Decoding
from neat_align.sampling.plan import GroupPlan
from neat_align.scoring import Combination
from neat_align.training.declared import declared_fields
from neat_align.training.measured import lower_is_better
from neat_align.training.settings import setting_problems
from neat_align.training.trainer_settings import unknown_setting
from neat_align.training.trial import said, trial_problems
from neat_align.training.trl_names import renamed_settings
from neat_align.training.values import typed

T = TypeVar("T")


RENEWED = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}
"""A setting's older name → the one that transformers has now."""


def names_known(config: type[T]) -> type[T]:
    """Let a class of settings say what an unknown one may have meant.

    Its constructor then raises a `RecipeError` instead of a `TypeError`. TRL's names of
    settings are taken as ours where they mean the same.
    """
    make = config.__init__

    @functools.wraps(make)
    def checked(self: Any, *args: Any, **settings: Any) -> None:
        known = [field.name for field in fields(config)]  # type: ignore[arg-type]
        settings, problems = renamed_settings(settings)
        unknown = [unknown_setting(name, known) for name in settings if name not in known]
        raise_all([*problems, *unknown])
        make(self, *args, **settings)

    config.__init__ = checked  # type: ignore[method-assign]
    return config


@names_known
@dataclass
class NEATConfig(NEATSettings, TrainingArguments):  # type: ignore[misc]
    """`transformers.TrainingArguments` and the settings of online groups.

    A batch counts groups: `per_device_train_batch_size=8` with K = 4 is 32 responses.

    Its own settings, with their help, are those of `neat_align.config.NEATSettings`.

    Raises:
        RecipeError: an impossible value; several problems are reported at once.
    """

    _VALID_DICT_FIELDS = [  # noqa: RUF012 (of the parent, and of every object)
        *TrainingArguments._VALID_DICT_FIELDS,
        "chat_template_kwargs",
        "model_init_kwargs",
    ]

    def __post_init__(self) -> None:
        self._undo_to_dict()
        self.check()
        self._use_new_names()
        self._settle_what_is_better()
        try:
            super().__post_init__()
        except InputError:
            raise
        except Exception as error:  # each part of transformers raises its own
            given = "settings that transformers refuses"
            raise RecipeError(given, said(error), "correct them") from error
        if self.lr_scheduler_type == "reduce_lr_on_plateau":  # which looks for low figures
            mode = "max" if self.greater_is_better else "min"
            self.lr_scheduler_kwargs = {"mode": mode, **dict(self.lr_scheduler_kwargs or {})}
        raise_all(trial_problems(self))

    def check(self) -> None:
        """Make sure that every setting can be, also one that was set afterwards.

        Raises:
            RecipeError: an impossible value; several problems are reported at once.
        """
        fields = declared_fields()
        found, problems = typed({n: vars(self)[n] for n in fields if n in vars(self)}, fields)
        vars(self).update(found)
        # transformers turns names into members of enumerations
        plain = {n: v.value if isinstance(v, Enum) else v for n, v in found.items()}
        raise_all(problems or setting_problems(plain))

    def _undo_to_dict(self) -> None:
        """Take defaults in the form that `to_dict` gives them for defaults."""
        given, usual = self.accelerator_config, AcceleratorConfig().to_dict()
        if isinstance(given, dict) and given.items() <= usual.items():
            self.accelerator_config = None
        if self.hub_token == "<HUB_TOKEN>":
            self.hub_token = None

    @property
    def template_arguments(self) -> dict[str, Any]:
        """The further arguments of the chat template."""
        given = self.chat_template_kwargs
        return dict(json.loads(given) if isinstance(given, str) else given or {})

    def _settle_what_is_better(self) -> None:
        """Say in which direction the metric gets better, where its name tells."""
        if self.metric_for_best_model is not None and self.greater_is_better is None:
            self.greater_is_better = not lower_is_better(self.metric_for_best_model)

    def _use_new_names(self) -> None:
        """Take over a setting that is given by a name that transformers warns of."""
        for old, new in RENEWED.items():
            if getattr(self, new, False) is None and getattr(self, old) is not None:
                setattr(self, new, getattr(self, old))

    @property
    def plan(self) -> GroupPlan:
        """The responses of one group."""
        return GroupPlan(
            self.plain_samples,
            self.positive_samples,
            self.negative_samples,
            tuple(self.positive_channels),
            tuple(self.negative_channels),
        )

    @property
    def combination(self) -> Combination:
        """How the scores of several rewards become one."""
        scale = tuple(self.reward_centres), tuple(self.reward_spreads)
        return Combination(self.reward_combine, self.reward_deviations, *scale)

    @property
    def decoding(self) -> Decoding:
        """How the responses are drawn."""
        return Decoding(
            self.max_new_tokens,
            self.temperature,
            self.top_p,
            self.top_k,
            self.min_p,
            tuple(self.stop_strings),
        )
