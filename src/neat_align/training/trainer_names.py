"""What the Trainer's settings may name: optimisers, schedulers, places for logs and the like.

Beside the names stand the arguments and the libraries that they take.
"""

from __future__ import annotations

from collections.abc import Callable

from neat_align.training.declared import allowed_names

LOG_LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")

CHOICES: dict[str, Callable[[], tuple[str, ...]]] = {
    "lr_scheduler_type": lambda: allowed_names("SchedulerType"),
    "optim": lambda: allowed_names("OptimizerNames"),
    "logging_strategy": lambda: allowed_names("IntervalStrategy"),
    "eval_strategy": lambda: allowed_names("IntervalStrategy"),
    "save_strategy": lambda: allowed_names("SaveStrategy"),
    "hub_strategy": lambda: allowed_names("HubStrategy"),
    "debug": lambda: ("underflow_overflow",),
    "log_level": lambda: LOG_LEVELS,
    "log_level_replica": lambda: LOG_LEVELS,
    "train_sampling_strategy": lambda: ("random", "sequential"),
    "torch_compile_backend": lambda: (
        *("eager", "aot_eager", "inductor", "cudagraphs", "aot_ts_nvfuser", "nvprims_nvfuser"),
        *("ofi", "fx2trt", "onnxrt", "tensorrt", "aot_torchxla_trace_once"),
        *("torchxla_trace_once", "tvm", "hpu_backend", "neuron"),
    ),
    "torch_compile_mode": lambda: (
        "default",
        "reduce-overhead",
        "max-autotune",
        "max-autotune-no-cudagraphs",
    ),
    "dataloader_multiprocessing_context": lambda: ("fork", "spawn", "forkserver"),
    "ddp_backend": lambda: ("nccl", "gloo", "mpi", "xccl", "hccl", "cncl", "mccl"),
    "report_to": lambda: (
        "none",
        "all",
        *allowed_names("report_to"),
    ),
}
"""Setting → the names that it may have."""

OPTIMISER_MODULES = {
    "adamw_torch_4bit": "torchao",
    "adamw_torch_8bit": "torchao",
    "adamw_torch_xla": "torch_xla",
    "adamw_torch_npu_fused": "torch_npu",
    "adamw_anyprecision": "torchdistx",
    "galore": "galore_torch",
    "apollo": "apollo_torch",
    "lomo": "lomo_optim",
    "adalomo": "lomo_optim",
    "grokadamw": "grokadamw",
    "schedule_free": "schedulefree",
    "stable_adamw": "optimi",
    "paged": "bitsandbytes",
    "ademamix": "bitsandbytes",
    "lion": "bitsandbytes",
    "rmsprop_bnb": "bitsandbytes",
    "adamw_8bit": "bitsandbytes",
    "adamw_bnb": "bitsandbytes",
}
"""How an optimiser's name begins → the module it needs; the longest beginning counts."""

REPORT_MODULES = {
    "azure_ml": ("azureml",),
    "comet_ml": ("comet_ml",),
    "flyte": ("flytekit",),
    "tensorboard": ("tensorboard", "tensorboardX"),
}
"""Where logs may go → modules of which one is needed; the others are called like their module."""

LOW_RANK = ("galore", "apollo")
ADAM = ("adam", "paged_adam", "ademamix", "lion", "stable_adam", "grokadam", "schedule_free_adam")
TAKE_ARGUMENTS = (
    "sgd", "adagrad", "rmsprop", "ademamix", "paged_ademamix", "galore", "apollo",
    "adamw_anyprecision", "adamw_torch_4bit", "adamw_torch_8bit", "grokadamw",
    "schedule_free", "stable_adamw",
)  # fmt: skip
OPTIMISER_KEYS = {
    "sgd": ("momentum", "dampening", "weight_decay", "nesterov"),
    "adagrad": ("lr_decay", "weight_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "weight_decay", "centered"),
}
"""Optimiser → what it reads of `optim_args`; it would pass over anything else."""

SCHEDULER_KEYS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "cosine": ("num_cycles",),
    "cosine_with_restarts": ("num_cycles",),
    "polynomial": ("lr_end", "power"),
    "inverse_sqrt": ("timescale",),
    "cosine_with_min_lr": ("num_cycles", "min_lr", "min_lr_rate"),
    "cosine_warmup_with_min_lr": ("num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"),
    "warmup_stable_decay": (
        "num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio",
        "num_cycles",
    ),
}  # fmt: skip
"""Scheduler → what `lr_scheduler_kwargs` may hold."""

SCHEDULER_NEEDS = {
    "cosine_with_min_lr": ("min_lr", "min_lr_rate"),
    "cosine_warmup_with_min_lr": ("min_lr", "min_lr_rate"),
    "warmup_stable_decay": ("num_decay_steps",),
}
"""Scheduler → arguments of which it needs one."""

UNWARMED = ("constant", "reduce_lr_on_plateau", "greedy")
WITHOUT_ARGUMENTS = ("constant", "constant_with_warmup")
PLATEAU = ("reduce_lr_on_plateau", "greedy")
