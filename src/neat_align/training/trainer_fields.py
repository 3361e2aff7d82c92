"""What is known of the fields of transformers' `TrainingArguments`, as tables.

`NEATTrainer` replaces parts of the Trainer (the loss, the loop of the evaluation), so some of
its settings are read by nothing. They are refused here, each with the reason. Of the others
the tables say what they may be, and what they need so that somebody reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neat_align.training.trainer_names import (
    ADAM,
    LOW_RANK,
    PLATEAU,
    TAKE_ARGUMENTS,
    UNWARMED,
    WITHOUT_ARGUMENTS,
)

Values = Mapping[str, Any]

LOSS = "the objective is the loss, and there are no labels"
LOOP = "the evaluation samples and scores answers, and has no predictions to gather"
SCRIPT = "only transformers' example scripts read it"

REFUSED: dict[str, tuple[str, str]] = {
    "average_tokens_across_devices": (
        "the loss is a mean over the groups of all devices as it is",
        "leave it out",
    ),
    "label_smoothing_factor": (LOSS, "use objective: {name: cdpo} for flipped preferences"),
    "label_names": (LOSS, "leave it out"),
    "bf16_full_eval": (LOOP, "use bf16, which holds in the evaluation too"),
    "fp16_full_eval": (LOOP, "use fp16, which holds in the evaluation too"),
    "prediction_loss_only": (LOOP, "leave it out"),
    "eval_do_concat_batches": (LOOP, "leave it out"),
    "eval_use_gather_object": (LOOP, "leave it out"),
    "eval_accumulation_steps": (LOOP, "lower per_device_eval_batch_size to save memory"),
    "include_for_metrics": (LOOP, "leave it out"),
    "batch_eval_metrics": (LOOP, "leave it out"),
    "auto_find_batch_size": (
        "groups already sampled would be lost when the batch shrinks",
        "set max_tokens_per_pass, which bounds the memory of a pass",
    ),
    "logging_nan_inf_filter": (
        "a loss that is not finite stops the training here, so there is nothing to filter",
        "leave it out",
    ),
    "include_num_input_tokens_seen": (
        "a batch holds groups, in which the Trainer finds no tokens to count",
        "leave it out; tokens a second are logged for each phase",
    ),
    "use_liger_kernel": (
        "its kernels have not been verified with groups in one row",
        "leave it out; packed groups save more",
    ),
    "enable_jit_checkpoint": (
        "a checkpoint counts once it is sealed, and this one would have no seal",
        "leave it out: `neat run` and `neat train` save on SIGTERM",
    ),
    "ignore_data_skip": (
        "a resumed run must see the data that the uninterrupted one would have seen",
        "leave it out",
    ),
    "accelerator_config": (
        "batches are lists of texts, which accelerate can neither split nor dispatch",
        "leave it out",
    ),
    "parallelism_config": (
        "tensor, context and sequence parallelism have not been verified with groups",
        "use DDP, FSDP2 or ZeRO (`neat launch list`)",
    ),
    "dataloader_pin_memory": ("a batch is text, which cannot be pinned", "leave it out"),
    "dataloader_in_order": (
        "with batches in another order a resumed run would not be the uninterrupted one",
        "leave it out",
    ),
    "remove_unused_columns": (
        "the other columns reach the reward functions",
        "leave it out",
    ),
    "length_column_name": ("a micro-batch is sorted by length as it is", "leave it out"),
    "ddp_static_graph": ("passes differ from step to step", "leave it out"),
    "do_train": (SCRIPT, "call train()"),
    "do_predict": (SCRIPT, "call evaluate()"),
}
"""Field → why it can change nothing here, and what to do instead."""

LIMITS: dict[str, tuple[float | None, float | None]] = {
    "per_device_train_batch_size": (1, None),
    "per_device_eval_batch_size": (1, None),
    "gradient_accumulation_steps": (1, None),
    "weight_decay": (0, None),
    "max_grad_norm": (0, None),
    "warmup_steps": (0, None),
    "eval_delay": (0, None),
    "save_total_limit": (1, None),
    "seed": (0, 2**32 - 1),
    "data_seed": (0, 2**32 - 1),
    "torch_empty_cache_steps": (1, None),
    "dataloader_num_workers": (0, None),
    "dataloader_prefetch_factor": (1, None),
    "ddp_timeout": (1, None),
    "ddp_bucket_cap_mb": (1, None),
}
"""Setting → its lowest and highest value, None for no limit."""

ABOVE = {
    "learning_rate": "a rate of 0 or less does not train",
    "num_train_epochs": "without an epoch the policy stays untrained",
    "logging_steps": "it counts steps, or is a share of them",
    "save_steps": "it counts steps, or is a share of them",
    "eval_steps": "it counts steps, or is a share of them",
    "adam_epsilon": "without it Adam divides by zero",
    "neftune_noise_alpha": "noise of that size is none",
}
"""Setting → why it must be above 0."""

WHOLE = ("logging_steps", "save_steps", "eval_steps", "warmup_steps")
"""Below 1 a share of all steps, from 1 on a whole number of them."""


def _starts(values: Values, name: str, beginnings: tuple[str, ...]) -> bool:
    return str(values[name]).startswith(beginnings)


def _evaluates(values: Values) -> bool:
    return values["eval_strategy"] != "no"


def _reports(values: Values) -> bool:
    return values["report_to"] not in ("none", [], ["none"])


def _reports_to_trackio(values: Values) -> bool:
    return "trackio" in str(values["report_to"])


def _pushes(values: Values) -> bool:
    return bool(values["push_to_hub"])


def _has_workers(values: Values) -> bool:
    return bool(values["dataloader_num_workers"])


def _checkpoints_activations(values: Values) -> bool:
    return bool(values.get("activation_checkpointing") or values.get("gradient_checkpointing"))


def _picks_the_best(values: Values) -> bool:
    return bool(
        values["metric_for_best_model"]
        or values["load_best_model_at_end"]
        or values["lr_scheduler_type"] in PLATEAU
    )


RENAMED = {
    "base_negative_fraction": "write reference_negative_fraction",
    "add_reference_responses": "write add_data_responses",
    "warmup_ratio": "write warmup_steps: below 1 it is a share of all steps",
    "evaluation_strategy": "write eval_strategy",
    "no_cuda": "write use_cpu",
    "use_mps_device": "leave it out: the device is found",
    "per_gpu_train_batch_size": "write per_device_train_batch_size",
    "per_gpu_eval_batch_size": "write per_device_eval_batch_size",
    "batch_size": "write per_device_train_batch_size",
    "lr": "write learning_rate",
    "epochs": "write num_train_epochs",
    "steps": "write max_steps",
    "group_by_length": "leave it out: a micro-batch is sorted by length as it is",
    "logging_dir": "leave it out: logs lie in output_dir",
    "overwrite_output_dir": "leave it out: what a run wrote is never overwritten",
    "jit_mode_eval": "leave it out: the evaluation samples answers",
    "torchdynamo": "write torch_compile_backend",
}
"""A name that other versions or trainers have → what it is here."""

NEEDED: dict[str, tuple[Callable[[Values], bool], str]] = {
    "eval_steps": (lambda v: v["eval_strategy"] == "steps", "set eval_strategy: steps"),
    "eval_delay": (_evaluates, "set eval_strategy: steps or epoch"),
    "do_eval": (_evaluates, "set eval_strategy: steps or epoch"),
    "load_best_model_at_end": (_evaluates, "set eval_strategy: steps or epoch"),
    "metric_for_best_model": (_evaluates, "set eval_strategy: steps or epoch"),
    "greater_is_better": (_picks_the_best, "set metric_for_best_model"),
    "save_steps": (lambda v: v["save_strategy"] == "steps", "set save_strategy: steps"),
    "logging_steps": (lambda v: v["logging_strategy"] == "steps", "set logging_strategy: steps"),
    "lr_scheduler_kwargs": (
        lambda v: v["lr_scheduler_type"] not in WITHOUT_ARGUMENTS,
        "use a scheduler that takes arguments, e.g. cosine_with_min_lr",
    ),
    "warmup_steps": (
        lambda v: v["lr_scheduler_type"] not in UNWARMED,
        "use a scheduler with a warm-up, e.g. constant_with_warmup or linear",
    ),
    "optim_args": (
        lambda v: _starts(v, "optim", TAKE_ARGUMENTS),
        "use an optimiser that takes arguments, e.g. sgd",
    ),
    "optim_target_modules": (
        lambda v: _starts(v, "optim", LOW_RANK),
        "use a galore or an apollo optimiser",
    ),
    "adam_beta1": (lambda v: _starts(v, "optim", ADAM), "use an Adam, e.g. adamw_torch"),
    "adam_beta2": (lambda v: _starts(v, "optim", ADAM), "use an Adam, e.g. adamw_torch"),
    "adam_epsilon": (lambda v: _starts(v, "optim", ADAM), "use an Adam, e.g. adamw_torch"),
    "activation_checkpointing_kwargs": (
        _checkpoints_activations,
        "set activation_checkpointing: true",
    ),
    "gradient_checkpointing_kwargs": (
        _checkpoints_activations,
        "set activation_checkpointing: true",
    ),
    "liger_kernel_config": (lambda v: bool(v["use_liger_kernel"]), "set use_liger_kernel"),
    "run_name": (_reports, "set report_to, for somebody to show it"),
    "project": (_reports_to_trackio, "set report_to: trackio"),
    "trackio_space_id": (_reports_to_trackio, "set report_to: trackio"),
    "trackio_bucket_id": (_reports_to_trackio, "set report_to: trackio"),
    "trackio_static_space_id": (_reports_to_trackio, "set report_to: trackio"),
    "hub_token": (_pushes, "set push_to_hub: true"),
    "hub_private_repo": (_pushes, "set push_to_hub: true"),
    "hub_model_id": (_pushes, "set push_to_hub: true"),
    "hub_strategy": (_pushes, "set push_to_hub: true"),
    "hub_always_push": (_pushes, "set push_to_hub: true"),
    "hub_revision": (_pushes, "set push_to_hub: true"),
    "dataloader_prefetch_factor": (_has_workers, "set dataloader_num_workers to 1 or more"),
    "dataloader_persistent_workers": (_has_workers, "set dataloader_num_workers to 1 or more"),
    "dataloader_multiprocessing_context": (_has_workers, "set dataloader_num_workers to 1 or more"),
    "fsdp_config": (lambda v: bool(v["fsdp"]), "set fsdp: true"),
    "num_train_epochs": (
        lambda v: not (isinstance(v["max_steps"], int) and v["max_steps"] > 0),
        "leave out max_steps: with both, it alone counts",
    ),
}
"""Setting → what it needs so that anything reads it, as a test and in words."""
