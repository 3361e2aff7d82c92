"""Settings of a NEAT run: the Trainer's own, and what online group sampling adds."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from transformers import TrainingArguments
from transformers.trainer_pt_utils import AcceleratorConfig

from neat_align import defaults
from neat_align.errors import InputError, RecipeError, raise_all
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import GroupPlan
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
class NEATConfig(TrainingArguments):
    """`transformers.TrainingArguments` and the settings of online groups.

    A batch counts groups: `per_device_train_batch_size=8` with K = 4 is 32 responses.

    Attributes:
        refresh_every: optimiser steps between two samplings of groups from the current
            policy. 1 is fully on-policy; a larger number draws that many steps' groups
            at once. Ignored by stored groups, which are trained on as they are.
        positive_samples, negative_samples, plain_samples: responses of each source. Two
            positive, one negative and one plain did best where the model misbehaves
            unprompted (docs/results.md); plain ones show it its own misbehaviour.
        add_data_responses: a query's `chosen` and `rejected` join its group.
        reference_negative_fraction: share of the negative responses drawn from the frozen
            reference model instead of the policy, 0 to 1.
        negative_context: share of the groups whose loss is also computed with a negative
            prompt before the query, and averaged with the clean one, 0 to 1; None for what
            the objective suggests (NEAT 0.7, the others 0).
        max_new_tokens, temperature, top_p, top_k, min_p: decoding.
        stop_strings: end a response, which keeps the text before them.
        chat_template_kwargs: further arguments of the chat template, e.g.
            {"enable_thinking": False}; those of a row (a column of this name) go before them.
        sampling_batch_size: responses drawn at a time.
        max_query_tokens: longer queries lose their beginning; None keeps all.
        plausibility: weight of `scoring.named.plausibility` in the score: the mean log-likelihood
            under a positive prompt and the reference model, nats a token. 0 leaves it out.
        packed: groups in one row, each query once, where the model allows it (see
            `models.layout.packable.PACKABLE`); False, or another model: one row a response.
        max_tokens_per_pass: tokens of one forward pass, padding included. A micro-batch
            beyond it is done in parts. A single group beyond it is split by its responses,
            whose activations are computed twice; the gradient stays exact.
        disable_dropout: no dropout in the policy, its adapter included, nor in the reference;
            False trains with the model's own, against a reference without.
        model_init_kwargs: of `from_pretrained`, for a model that is given by its name: dtype,
            attn_implementation, revision.
        merge_adapter: the saved policy is a whole model, with the adapter worked into its
            weights, and the adapter beside it; False saves the adapter alone.
        processes: how many processes must take part; a launch that comes up with another
            number is refused. None takes what comes.
        engine: what draws the policy's responses: None, the trainer's own forward; "vllm", vLLM
            in the trainer's processes; "vllm-server", a server of `trl vllm-serve`;
            "adapter-server", a server that loads each new adapter. See docs/servers.md.
        engine_url: of the server; for "adapter-server" up to the version, e.g. …:8000/v1.
        engine_gpu_memory: share of a GPU's memory for "vllm", 0 to 1.
        engine_tolerance: nats a token by which the engine's log-probs may differ from the
            policy's on average, each time it has been given new weights; beyond it the run
            stops.
        log_completions: keep every sampled response with its scores, and with what reward
            functions gave to `log_extra`, in output_dir/completions, one Parquet file a log.
        steering_try_queries: queries that the steering pair is tried on before the first step
            (`training.steering_trial`); 0 tries nothing.
        steering_force: train although the trial says that the pair does not steer.
        stop_kl: stop when the logged `kl` passes this: the mean log-ratio to the reference,
            in nats, of the responses drawn without a negative prompt.
        stop_distinct_2: stop when distinct-2 of the sampled responses falls below this.

    Raises:
        RecipeError: an impossible value; several problems are reported at once.
    """

    _VALID_DICT_FIELDS = [  # noqa: RUF012 (of the parent, and of every object)
        *TrainingArguments._VALID_DICT_FIELDS,
        "chat_template_kwargs",
        "model_init_kwargs",
    ]

    refresh_every: int = 1
    positive_samples: int = defaults.POSITIVE_SAMPLES
    negative_samples: int = defaults.NEGATIVE_SAMPLES
    plain_samples: int = defaults.PLAIN_SAMPLES
    add_data_responses: bool = False
    reference_negative_fraction: float = 0.0
    negative_context: float | None = None
    max_new_tokens: int = defaults.MAX_NEW_TOKENS
    temperature: float = defaults.TEMPERATURE
    top_p: float = defaults.TOP_P
    top_k: int = defaults.TOP_K
    min_p: float = defaults.MIN_P
    stop_strings: list[str] = field(default_factory=list)
    chat_template_kwargs: dict[str, Any] | str | None = None
    sampling_batch_size: int = defaults.SAMPLING_BATCH_SIZE
    max_query_tokens: int | None = None
    plausibility: float = 0.0
    packed: bool = True
    max_tokens_per_pass: int = defaults.TOKENS_PER_PASS
    disable_dropout: bool = True
    model_init_kwargs: dict[str, Any] | str | None = None
    merge_adapter: bool = True
    processes: int | None = None
    engine: str | None = None
    engine_url: str | None = None
    engine_gpu_memory: float = 0.3
    engine_tolerance: float = 0.1
    log_completions: bool = False
    steering_try_queries: int = defaults.TRY_QUERIES
    steering_force: bool = False
    stop_kl: float | None = None
    stop_distinct_2: float | None = None

    # Defaults of the Trainer that do not suit this one.
    logging_steps: float = 1
    remove_unused_columns: bool = False
    optim: str = "adamw_torch_fused"
    report_to: str | list[str] = field(default_factory=lambda: "none")  # type: ignore[assignment]
    learning_rate: float = 1e-6
    logging_nan_inf_filter: bool = False
    dataloader_pin_memory: bool = False
    ddp_find_unused_parameters: bool | None = False  # every weight takes part in every pass

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
        return GroupPlan(self.plain_samples, self.positive_samples, self.negative_samples)

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
