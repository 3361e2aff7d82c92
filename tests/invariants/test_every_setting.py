"""Every setting of the Trainer and of ours changes something, is refused, or is named here.

The list of fields comes from the classes, so that a new one fails until it is looked at.
"""

import dataclasses
import json
import warnings

import pytest
import torch
from tests.conftest import make_llama
from tests.trainers import length_reward
from transformers.utils import logging as transformers_logging

from neat_align.errors import InputError
from neat_align.objectives import NEAT
from neat_align.recipe.train_fields import OWNED
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer
from neat_align.training.trainer_fields import REFUSED
from neat_align.types import Query

STEPS = {"eval_strategy": "steps", "eval_steps": 1}
BEST = {**STEPS, "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True}
WARM = {"lr_scheduler_type": "linear"}

CHANGES = {
    "output_dir": ("other", {}),
    "per_device_train_batch_size": (1, {}),
    "num_train_epochs": (2, {"max_steps": -1}),
    "max_steps": (1, {}),
    "learning_rate": (1e-2, {}),
    "lr_scheduler_type": ("constant", {}),
    "lr_scheduler_kwargs": ({"num_cycles": 3}, {"lr_scheduler_type": "cosine"}),
    "warmup_steps": (2, WARM),
    "optim": ("sgd", {}),
    "optim_args": ("momentum=0.9", {"optim": "sgd"}),
    "weight_decay": (0.5, {}),
    "adam_beta1": (0.1, {}),
    "adam_beta2": (0.1, {}),
    "adam_epsilon": (1.0, {}),
    "gradient_accumulation_steps": (2, {}),
    "max_grad_norm": (1e-3, {}),
    "bf16": (True, {}),
    "activation_checkpointing": (True, {}),
    "gradient_checkpointing": (True, {}),
    "use_cache": (True, {}),
    "neftune_noise_alpha": (5.0, {}),
    "logging_strategy": ("epoch", {}),
    "logging_steps": (2, {}),
    "logging_first_step": (True, {"logging_steps": 2}),
    "log_level": ("error", {}),
    "disable_tqdm": (False, {}),
    "eval_strategy": ("steps", {}),
    "eval_steps": (2, STEPS),
    "eval_delay": (2, STEPS),
    "per_device_eval_batch_size": (1, STEPS),
    "eval_on_start": (True, {}),
    "save_strategy": ("steps", {"save_steps": 500}),
    "save_steps": (1, {"save_strategy": "steps"}),
    "save_total_limit": (1, {"save_strategy": "steps", "save_steps": 1}),
    "save_only_model": (True, {"save_strategy": "steps"}),
    "load_best_model_at_end": (False, BEST),
    "metric_for_best_model": ("eval/reward", BEST),
    "greater_is_better": (True, BEST),
    "seed": (1, {}),
    "data_seed": (1, {}),
    "full_determinism": (True, {}),
    "dataloader_drop_last": (True, {"per_device_train_batch_size": 4, "max_steps": 3}),
    "dataloader_num_workers": (1, {}),
    "dataloader_prefetch_factor": (4, {"dataloader_num_workers": 1}),
    "dataloader_persistent_workers": (True, {"dataloader_num_workers": 1}),
    "dataloader_multiprocessing_context": ("spawn", {"dataloader_num_workers": 1}),
    "train_sampling_strategy": ("sequential", {}),
    "debug": ("underflow_overflow", {}),
    "skip_memory_metrics": (False, {}),
    # ours
    "refresh_every": (3, {}),
    "positive_samples": (1, {}),
    "negative_samples": (2, {}),
    "plain_samples": (2, {}),
    "add_data_responses": (True, {}),
    "reference_negative_fraction": (1.0, {}),
    "negative_context": (0.0, {}),
    "max_new_tokens": (2, {}),
    "temperature": (0.1, {}),
    "top_p": (0.1, {}),
    "top_k": (1, {}),
    "min_p": (0.9, {}),
    "stop_strings": (("a",), {}),
    "sampling_batch_size": (1, {}),
    "max_query_tokens": (3, {}),
    "plausibility": (9.0, {}),
    "packed": (False, {}),
    "max_tokens_per_pass": (1, {}),
    "log_completions": (True, {}),
    "good_above": (0.1, {}),
    "resample_groups": (1, {"good_above": 99.0}),
    "drop_unsplit": (True, {"good_above": 99.0}),
    "stop_kl": (-100.0, {}),
    "stop_distinct_2": (1.1, {}),
}
"""Field → a value that changes something, and the settings beside which it does."""

ELSEWHERE = {
    "processes": "tests/parallel: a launch with another number is refused",
    "engine": "tests/unit/test_engines.py",
    "engine_url": "tests/unit/test_engines.py",
    "engine_gpu_memory": "tests/unit/test_engines.py: given to vLLM",
    "engine_tolerance": "tests/unit/test_engines.py",
    "disable_dropout": "tests of dropout",
    "merge_adapter": "tests of adapters: what is saved of a run",
    "chat_template_kwargs": "tests of templates",
    "reward_combine": "tests/unit/test_combination.py: of several rewards",
    "reward_deviations": "tests/unit/test_combination.py",
    "reward_centres": "tests/unit/test_combination.py",
    "reward_spreads": "tests/unit/test_combination.py",
    "max_dispute": "tests/unit/test_combination.py",
    "positive_channels": "tests/unit/test_channels.py: the fixed pair has prompts alone",
    "negative_channels": "tests/unit/test_channels.py, tests/end_to_end/test_channels.py",
    "model_init_kwargs": "tests/unit/test_trl_names.py: of a model that is named",
    "steering_try_queries": "tests of the steering trial",
    "steering_force": "tests of the steering trial",
    "do_eval": "transformers sets it with eval_strategy",
    "resume_from_checkpoint": "test_a_checkpoint_named_in_the_settings_is_resumed_from",
    "report_to": "the libraries that it names are not installed for tests",
    "run_name": "refused without report_to, and shown by what that names",
    "project": "trackio, which is not installed for tests",
    "trackio_space_id": "trackio",
    "trackio_bucket_id": "trackio",
    "trackio_static_space_id": "trackio",
    "optim_target_modules": "galore and apollo, whose libraries are not installed for tests",
    "liger_kernel_config": "refused: use_liger_kernel is",
    "activation_checkpointing_kwargs": "how activations are computed again, not what comes out",
    "gradient_checkpointing_kwargs": "the older name of it",
    "torch_empty_cache_steps": "gives memory back to a device",
    "fp16": "needs a GPU",
    "tf32": "needs a GPU",
    "use_cpu": "needs a GPU",
    "torch_compile": "needs a compiler",
    "torch_compile_backend": "needs a compiler",
    "torch_compile_mode": "needs a compiler",
    "push_to_hub": "needs the hub",
    "hub_token": "needs the hub",
    "hub_private_repo": "needs the hub",
    "hub_model_id": "needs the hub",
    "hub_strategy": "needs the hub",
    "hub_always_push": "needs the hub",
    "hub_revision": "needs the hub",
    "deepspeed": "needs its library",
    "fsdp": "needs several processes",
    "fsdp_config": "needs several processes",
    "ddp_find_unused_parameters": "needs several processes",
    "ddp_bucket_cap_mb": "needs several processes",
    "ddp_broadcast_buffers": "needs several processes",
    "ddp_backend": "needs several processes",
    "ddp_timeout": "needs several processes",
    "log_level_replica": "needs several processes",
    "log_on_each_node": "needs several machines",
    "save_on_each_node": "needs several machines",
    "local_rank": "set by launchers",
    "restore_callback_states_from_checkpoint": "callbacks with a state, when resumed",
}
"""Field → where its effect is shown, or why a test here cannot see it."""


def test_every_field_is_looked_at():
    fields = {field.name for field in dataclasses.fields(NEATConfig)}
    looked_at = {*CHANGES, *ELSEWHERE, *REFUSED}
    assert not fields - looked_at, "show that it changes something, or refuse it"
    assert not set(CHANGES) & {*ELSEWHERE, *REFUSED}


@pytest.fixture
def look(tmp_path, tokenizer, steering):
    """Collect all that a training of two steps leaves to be seen, with some settings."""
    words = ("lamp", "kettle", "cloth", "cup", "lid")
    queries = [Query.from_text(f"how do I polish the {w}?", chosen="so") for w in words]

    def looked(**settings):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}" / settings.pop("output_dir", "o")
        usual = {
            "max_steps": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-3,
            "use_cpu": True, "max_new_tokens": 4, "save_strategy": "no", "disable_tqdm": True,
            "steering_try_queries": 0,
        }  # fmt: skip
        known = {field.name for field in dataclasses.fields(NEATConfig)}
        given = {k: v for k, v in {**usual, **settings}.items() if k in known}
        before = transformers_logging.get_verbosity()
        trainer = NEATTrainer(
            make_llama(tokenizer), length_reward, NEATConfig(output_dir=str(folder), **given),
            queries, queries[:3], processing_class=tokenizer, objective=NEAT(), steering=steering,
        )  # fmt: skip
        calls, passes = [], []
        draw = trainer.maker.policy.sample
        trainer.maker.policy.sample = lambda r, d: calls.append(len(r)) or draw(r, d)
        trainer.model.register_forward_pre_hook(
            lambda m, a, k: passes.append(k["input_ids"].shape), with_kwargs=True
        )
        loader = trainer.get_train_dataloader()
        trainer.train()
        seen = seen_of(trainer, folder, calls, passes, loader)
        transformers_logging.set_verbosity(before)
        torch.use_deterministic_algorithms(False)
        return seen

    return looked


def seen_of(trainer, folder, calls, passes, loader):
    timeless = [
        {k: v for k, v in row.items() if not any(w in k for w in ("second", "runtime", "flos"))}
        for row in trainer.state.log_history
    ]
    return {
        "logs": json.dumps(timeless),
        "weights": [p.detach().sum().item() for p in trainer.model.parameters()],
        "files": sorted(str(p.relative_to(folder.parent)) for p in folder.rglob("*")),
        "calls": calls,
        "passes": passes,
        "loader": [getattr(loader, n, None) for n in LOADER],
        "context": str(getattr(loader, "multiprocessing_context", None)),
        "verbosity": transformers_logging.get_verbosity(),
        "callbacks": sorted(type(c).__name__ for c in trainer.callback_handler.callbacks),
        "model": [trainer.model.is_gradient_checkpointing, trainer.model.config.use_cache],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "sampler": trainer.maker.policy.batch_size,
        "hooks": len(trainer.model._forward_hooks),
        "best": [trainer.state.best_global_step, trainer.state.best_metric],
    }


LOADER = ("num_workers", "prefetch_factor", "persistent_workers")


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_config_took_the_trainer_takes(tmp_path, name):
    """A trainer looks again: transformers has changed some values by then."""
    value, beside = CHANGES[name]
    known = {field.name for field in dataclasses.fields(NEATConfig)}
    given = {"use_cpu": True, "max_steps": 2, "save_strategy": "no", **beside, name: value}
    NEATConfig(
        **{"output_dir": str(tmp_path)} | {k: v for k, v in given.items() if k in known}
    ).check()


@pytest.mark.nightly
@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_changes_something(look, name):
    value, beside = CHANGES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with_it = look(**{**beside, name: value})
        without = look(**{k: v for k, v in beside.items() if k != name or name in BEST})
    assert with_it != without


def test_nothing_changes_without_a_setting(look):
    assert look() == look()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_setting_is_not_one_of_a_recipes(name):
    assert name not in OWNED
    with pytest.raises(InputError):
        NEATConfig(output_dir="unused", use_cpu=True, **{name: "nonsense"})
