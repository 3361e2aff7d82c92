"""The settings of a NEAT training beside the Trainer's own: each is declared here, once.

Name, type, default, limits and help of a setting are those of its field. `NEATConfig` inherits
the fields; a recipe's sections, the command line's options, `neat recipe keys` and the checks
read them. No torch, so that a recipe is checked at once.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any

_limits: dict[Field[Any], tuple[float | None, float | None]] = {}
"""Limits by field: `HfArgumentParser` would take them for its own if they were metadata."""


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    finite: bool = False,
) -> Any:
    """Declare a setting.

    Args:
        default: its default; a type for one that is made anew, e.g. `list`.
        help: what it is, in a line or a few.
        low, high: its lowest and highest value, None for no limit.
        finite: it is a number without limits, and neither NaN nor infinite.
    """
    about = {"help": help}
    made = field(default_factory=default, metadata=about) if isinstance(default, type) else None
    own: Field[Any] = made or field(default=default, metadata=about)
    if finite or low is not None or high is not None:
        _limits[own] = low, high
    return own


@dataclass
class NEATSettings:
    """The settings of online groups, and the Trainer's defaults that do not suit them."""

    refresh_every: int = setting(
        1,
        "optimiser steps between two samplings of groups from the current policy. 1 is "
        "fully on-policy; a larger number draws that many steps' groups at once. Ignored by "
        "stored groups, which are trained on as they are",
        low=1,
    )
    # A group: half positive, a quarter negative, a quarter plain, as in the study
    # (docs/decisions/0004-half-positive-a-quarter-negative.md).
    positive_samples: int = setting(
        2,
        "responses per query under a positive prompt. Two positive, one negative and one "
        "plain did best where the model misbehaves unprompted (docs/results.md)",
        low=0,
    )
    negative_samples: int = setting(1, "responses per query under a negative prompt", low=0)
    plain_samples: int = setting(
        1,
        "responses per query without a steering prompt; they show the model its own misbehaviour",
        low=0,
    )
    positive_channels: list[str] = setting(
        list,
        "the channels of a query's first positive response, its second …: system (a prompt), "
        "turns (a conversation shown before the query), prefix (how the answer begins), "
        "column (an answer of the data); "
        "empty for those that the steering pair has, in turn",
    )
    negative_channels: list[str] = setting(list, "the same for its negative responses")
    add_data_responses: bool = setting(
        False,
        "a query's `chosen` and `rejected` join its group",
    )
    reference_negative_fraction: float = setting(
        0.0,
        "share of the negative responses drawn from the frozen reference model instead of "
        "the policy, 0 to 1",
        low=0,
        high=1,
    )
    negative_context: float | None = setting(
        None,
        "share of the groups whose loss is also computed with a negative prompt before the "
        "query, and averaged with the clean one, 0 to 1; None for what the objective "
        "suggests (NEAT 0.7, the others 0)",
        low=0,
        high=1,
    )
    # Decoding: what the model says by itself, nothing cut off its distribution.
    max_new_tokens: int = setting(128, "tokens per response at most", low=1)
    temperature: float = setting(1.0, "sampling temperature; 0 takes the likeliest token", low=0)
    top_p: float = setting(
        1.0,
        "likeliest tokens up to this share of the probability; 1 cuts nothing",
        low=0,
        high=1,
    )
    top_k: int = setting(0, "this many of the likeliest tokens; 0 cuts nothing", low=0)
    min_p: float = setting(
        0.0,
        "tokens of at least this share of the likeliest one's probability; 0 cuts nothing",
        low=0,
        high=1,
    )
    stop_strings: list[str] = setting(
        list,
        "end a response, which keeps the text before them",
    )
    chat_template_kwargs: dict[str, Any] | str | None = setting(
        None,
        'further arguments of the chat template, e.g. {"enable_thinking": False}; those of '
        "a row (a column of this name) go before them",
    )
    sampling_batch_size: int = setting(64, "responses per batch of draws", low=1)
    max_query_tokens: int | None = setting(
        None, "longer queries lose their beginning; None keeps all", low=1
    )
    plausibility: float = setting(
        0.0,
        "weight of `scoring.named.plausibility` in the score: the mean log-likelihood under "
        "a positive prompt and the reference model, nats per token. 0 leaves it out",
        low=0,
    )
    reward_combine: str = setting(
        "sum",
        "how the scores of several rewards become one: sum, mean, minimum or lower_bound, the "
        "mean less deviations times their standard deviation (`scoring.combination`)",
    )
    reward_deviations: float = setting(
        1.0, "standard deviations that lower_bound takes off the mean", low=0
    )
    reward_centres: list[float] = setting(
        list, "what is taken off each reward's scores before they are combined; empty for 0"
    )
    reward_spreads: list[float] = setting(
        list,
        "what each reward's scores are then divided by; empty for 1. `neat reward audit` tells "
        "mean and spread of a reward",
    )
    max_dispute: float | None = setting(
        None,
        "leave groups out of training in which two rewards order more than this share of the "
        "response pairs in opposite ways, 0 to 1",
        low=0,
        high=1,
    )
    packed: bool = setting(
        True,
        "groups in one row, each query once, where the model allows it (see "
        "`models.layout.packable.PACKABLE`); False, or another model: one row per response",
    )
    max_tokens_per_pass: int = setting(
        4096,
        "tokens of one forward pass, padding included. A micro-batch beyond it is done in "
        "parts. A single group beyond it is split by its responses, whose activations are "
        "computed twice; the gradient stays exact",
        low=1,
    )
    disable_dropout: bool = setting(
        True,
        "no dropout in the policy, its adapter included, nor in the reference; False trains "
        "with the model's own, against a reference without",
    )
    model_init_kwargs: dict[str, Any] | str | None = setting(
        None,
        "of `from_pretrained`, for a model that is given by its name: dtype, "
        "attn_implementation, revision",
    )
    merge_adapter: bool = setting(
        True,
        "the saved policy is a whole model, with the adapter worked into its weights, and "
        "the adapter beside it; False saves the adapter alone",
    )
    processes: int | None = setting(
        None,
        "how many processes must take part; a launch that comes up with another number is "
        "refused. None takes what comes",
        low=1,
    )
    engine: str | None = setting(
        None,
        "what draws the policy's responses: None, the trainer's own forward; \"vllm\", vLLM "
        'in the trainer\'s processes; "vllm-server", a server of `trl vllm-serve`; "adapter- '
        'server", a server that loads each new adapter. See docs/servers.md',
    )
    engine_url: str | None = setting(
        None,
        'of the server; for "adapter-server" up to the version, e.g. …:8000/v1',
    )
    engine_gpu_memory: float = setting(
        0.3, 'share of a GPU\'s memory for "vllm", 0 to 1', low=0, high=1
    )
    engine_tolerance: float = setting(
        0.1,
        "nats per token by which the engine's log-probs may differ from the policy's on "
        "average, each time it has been given new weights; beyond it the run stops",
        low=0,
    )
    good_above: float | None = setting(
        None,
        "the score above which an answer is good; None for the border that the trial of the "
        "steering finds between what the two sides bring out. Groups without a good or without "
        "a bad answer are counted by it",
        finite=True,
    )
    resample_groups: int = setting(
        0,
        "times that a group without a good answer has its positive responses drawn again, and "
        "one without a bad answer its negative ones: with new seeds, each time through the next "
        "channel and phrasing",
        low=0,
    )
    drop_unsplit: bool = setting(
        False,
        "leave groups that still have no good or no bad answer out of training",
    )
    log_completions: bool = setting(
        False,
        "keep every sampled response with its scores, and with what reward functions gave "
        "to `log_extra`, in output_dir/completions, one Parquet file per log",
    )
    steering_try_queries: int = setting(
        8,
        "queries that the steering pair is tried on before the first step "
        "(`training.steering_trial`); 0 tries nothing",
        low=0,
    )
    steering_force: bool = setting(
        False,
        "train although the trial says that the pair does not steer",
    )
    stop_kl: float | None = setting(
        None,
        "stop when the logged `kl` passes this: the mean log-ratio to the reference, in "
        "nats, of the responses drawn without a negative prompt",
        finite=True,
    )
    stop_distinct_2: float | None = setting(
        None, "stop when distinct-2 of the sampled responses falls below this", low=0
    )

    # Defaults of the Trainer that do not suit this one.
    logging_steps: float = 1
    remove_unused_columns: bool = False
    optim: str = "adamw_torch_fused"
    report_to: str | list[str] = field(default_factory=lambda: "none")
    learning_rate: float = 1e-06
    logging_nan_inf_filter: bool = False
    dataloader_pin_memory: bool = False
    ddp_find_unused_parameters: bool | None = False  # every weight takes part in every pass


SETTINGS: dict[str, Field[Any]] = {own.name: own for own in fields(NEATSettings)}
"""Every field by its name."""

TYPES: dict[str, str] = {name: str(own.type) for name, own in SETTINGS.items()}
"""The type of each as written here; `HfArgumentParser` writes another into the field."""

LIMITS: dict[str, tuple[float | None, float | None]] = {
    name: _limits[own] for name, own in SETTINGS.items() if own in _limits
}
"""Setting → its lowest and highest value, None for no limit."""


def help_of(name: str) -> str:
    """Return what a setting is; "" where only its default is ours."""
    return str(SETTINGS[name].metadata.get("help", ""))
