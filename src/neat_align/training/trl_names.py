"""Say what TRL's names are called here: every argument of its trainers, every setting.

`NEATTrainer` and `NEATConfig` read these tables, and docs/coming-from-trl.md is made from
them. A name is ours as it stands, is accepted for ours where it means the same in the same
unit, or is refused with what to do instead. No torch, so that a recipe is checked at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neat_align.config import NEATSettings
from neat_align.errors import InputError, RecipeError

OWN_LOSS = "subclass neat_align.Objective and give it as objective"
NOT_DRAWN = "leave it out: answers are drawn with temperature, top_p, top_k and min_p"
FIXED = "leave it out: the reference stays as it is; train again from the policy to renew it"
OF_THE_ENGINE = 'leave it out: a server is set up where it runs; here engine="vllm-server"'
ON_POLICY = "leave it out: set refresh_every, 1 for groups of the current policy at each step"
NO_ENTROPY = f"leave it out: no objective here rewards entropy; {OWN_LOSS}"
IN_FILES = "leave it out: log_completions writes a Parquet file per log, whole"
CACHED = 'leave it out: the trainer draws with a cache of its own; for speed set engine="vllm"'
IMPORTANCE = "leave it out: a run stops where the engine differs by more than engine_tolerance"

SAME_ARGUMENTS = {
    "model": "also a directory or hub id",
    "reward_funcs": "TRL's signature; also names, files, model ids, scorers",
    "args": "a NEATConfig, or a mapping of its fields; optional",
    "train_dataset": "TRL's formats, texts, files, or stored groups",
    "eval_dataset": "the same",
    "processing_class": "also a name",
    "reward_processing_classes": "of reward models that are given as modules",
    "callbacks": "",
    "optimizers": "",
    "peft_config": "also a mapping: {'r': 16}",
}
"""Arguments of TRL's trainers that are ours under the same name → what is more to know."""

ACCEPTED_ARGUMENTS = {"ref_model": "reference_model"}
"""Arguments of TRL's that are taken as ours."""

REFUSED_ARGUMENTS = {
    "compute_metrics": "what is measured of answers are rewards: give a function in reward_funcs",
    "data_collator": "groups are laid out by the trainer: leave it out",
    "quantization_config": "load the model with it, give that as model, and a peft_config",
    "tools": "give them by row, in the column `tools`",
    "rollout_func": "give a sampler: an object with sample(requests, decoding)",
    "environment_factory": "a group holds single answers: give them as rows, or stored groups",
    "preprocess_logits_for_metrics": "the evaluation measures answers, not logits: leave it out",
    "compute_loss_func": "the loss is the objective: give one of your own as objective",
    "model_init": "give the model; a new trainer starts from it anew",
    "formatting_func": "give rows with `prompt` in one of TRL's formats, or Query.from_text(…)",
    "tokenizer": "give it as processing_class",
    "reward_model": "give it in reward_funcs",
    "reward_func": "give it in reward_funcs",
    "reward_function": "give it in reward_funcs",
    "reward_functions": "give them in reward_funcs",
    "loss": "give it as objective",
    "config": "give it as args",
    "training_args": "give them as args",
    "dataset": "give it as train_dataset",
    "queries": "give them as train_dataset",
    "groups": "give them as train_dataset",
    "eval_queries": "give them as eval_dataset",
    "negative_prompts": 'give them as steering={"negative": […]}',
    "positive_prompts": 'give them as steering={"positive": […], "negative": […]}',
    "lora_config": "give it as peft_config",
}
"""Arguments of TRL's, of other trainers and of habit → what to do instead."""

SAME_SETTINGS = {
    "learning_rate": "the default is 1e-6, as GRPO's and DPO's",
    "per_device_train_batch_size": "counts groups: divide GRPO's number by num_generations",
    "logging_steps": "the default is 1",
    "gradient_checkpointing": "off by default",
    "bf16": "off by default; trained weights stay in float32",
    "lr_scheduler_kwargs": "",
    "torch_empty_cache_steps": "",
    "model_init_kwargs": "dtype, attn_implementation, revision",
    "disable_dropout": "the default is True, as DPO's",
    "temperature": "",
    "top_p": "",
    "top_k": "0 looks at all tokens",
    "min_p": "0 cuts nothing off",
    "chat_template_kwargs": "",
    "log_completions": "to output_dir/completions, as Parquet",
}
"""Settings of TRL's configs that are ours under the same name → what is more to know."""

UNREAD_SETTINGS = {
    "use_liger_kernel": "leave it out: not verified with groups in one row",
    "remove_unused_columns": "leave it out: further columns always reach reward functions",
}
"""Fields of transformers' that nothing would read here → what to do instead."""

ACCEPTED_SETTINGS = {
    "max_completion_length": "max_new_tokens",
    "max_prompt_length": "max_query_tokens",
    "vllm_server_base_url": "engine_url",
    "vllm_gpu_memory_utilization": "engine_gpu_memory",
}
"""Settings of TRL's that are taken as ours."""

NUM_GENERATIONS = "num_generations"
PLAN = {
    "positive_samples": NEATSettings.positive_samples,
    "negative_samples": NEATSettings.negative_samples,
    "plain_samples": NEATSettings.plain_samples,
}
"""How a group is divided: our three settings for TRL's one."""

REFUSED_SETTINGS = {
    # the model
    "trust_remote_code": "set the environment variable NEAT_TRUST_REMOTE_CODE to the model's name",
    "router_aux_loss_coef": f"leave it out: the loss is the objective's alone; {OWN_LOSS}",
    "cast_lm_head_to_fp32": "leave it out: trained weights are float32, log-probs computed in it",
    "ds3_gather_for_generation": "leave it out: weights are gathered while answers are drawn",
    "activation_offloading": "write activation_checkpointing",
    # the data
    "shuffle_dataset": 'write train_sampling_strategy, "random" or "sequential"',
    "dataset_num_proc": "leave it out: rows are tokenised as they are needed",
    "pad_to_multiple_of": "leave it out: packed groups have no padding",
    "padding_free": "write packed",
    "packing": "write packed",
    "eval_packing": "write packed",
    "pad_token": "set tokenizer.pad_token, and give the tokenizer as processing_class",
    "max_length": "write max_new_tokens for answers, max_query_tokens for queries",
    "truncation_mode": "leave it out: beyond max_query_tokens a query loses its beginning",
    # drawing
    "num_generations_eval": "leave it out: held-out queries are answered as the others are",
    "generation_batch_size": "write sampling_batch_size; how often is drawn says refresh_every",
    "steps_per_generation": "write refresh_every, which counts optimiser steps: divide by "
    "gradient_accumulation_steps",
    "generation_kwargs": NOT_DRAWN,
    "repetition_penalty": NOT_DRAWN,
    "cache_implementation": CACHED,
    "use_transformers_continuous_batching": CACHED,
    "transformers_continuous_batching_config": CACHED,
    "use_transformers_paged": CACHED,
    "max_tool_calling_iterations": "leave it out: a query is answered once",
    "use_vllm": 'write engine="vllm" or "vllm-server"',
    "vllm_mode": 'write engine="vllm" for colocate, "vllm-server" for server',
    "vllm_server_host": 'write engine_url="http://HOST:PORT"',
    "vllm_server_port": 'write engine_url="http://HOST:PORT"',
    **dict.fromkeys(
        (
            *("vllm_server_timeout", "vllm_group_port", "vllm_model_impl"),
            *("vllm_max_model_length", "vllm_tensor_parallel_size", "vllm_enable_sleep_mode"),
            "vllm_structured_outputs_regex",
        ),
        OF_THE_ENGINE,
    ),
    **dict.fromkeys(
        (
            *("vllm_importance_sampling_correction", "vllm_importance_sampling_mode"),
            *("vllm_importance_sampling_clip_max", "vllm_importance_sampling_clip_min"),
            "vllm_importance_sampling_cap",
        ),
        IMPORTANCE,
    ),
    # the loss
    "beta": "it belongs to the objective, e.g. objective=DPO(beta=0.1)",
    "loss_type": "it is the objective: sigmoid DPO(), hinge DPOHinge(), ipo IPO(), robust "
    "RobustDPO(), sppo_hard SPPO(), sft SFT(); for another, " + OWN_LOSS,
    "loss_weights": f"leave it out: an objective is one loss; {OWN_LOSS}",
    "label_smoothing": "it belongs to the objective: objective=RobustDPO(label_smoothing=0.1)",
    "reward_weights": "give it to the trainer",
    "scale_rewards": "leave it out: objectives use the order or the gaps of scores",
    "multi_objective_aggregation": "leave it out: rewards are summed with reward_weights",
    "num_iterations": ON_POLICY,
    "mask_truncated_completions": "leave it out: a cut answer is trained on without an end",
    **dict.fromkeys(
        (
            *("epsilon", "epsilon_high", "delta", "importance_sampling_level"),
            *("sapo_temperature_neg", "sapo_temperature_pos", "off_policy_mask_threshold"),
            *("vespo_k_pos", "vespo_k_neg", "vespo_lambda_pos", "vespo_lambda_neg"),
            *("use_bias_correction_kl", "ld_alpha", "f_divergence_type", "use_weighting"),
            *("f_alpha_divergence_coef", "discopop_tau"),
        ),
        f"leave it out: it is of a loss that is not here; {OWN_LOSS}",
    ),
    **dict.fromkeys(
        (
            *("top_entropy_quantile", "entropy_coef", "use_adaptive_entropy", "entropy_target"),
            *("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta"),
        ),
        NO_ENTROPY,
    ),
    # the reference
    **dict.fromkeys(("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"), FIXED),
    **dict.fromkeys(
        ("precompute_ref_log_probs", "precompute_ref_batch_size"),
        "leave it out: with peft_config the reference is the model without its adapter",
    ),
    # logs
    **dict.fromkeys(
        ("num_completions_to_print", "log_unique_prompts", "log_completions_hub_repo"), IN_FILES
    ),
    "log_multimodal": "leave it out: queries and answers are text",
}
"""Settings of TRL's → what to do instead."""


def argument_advice(name: str) -> str:
    """Say what to do instead of an argument of TRL's; "" for a name that is none."""
    setting = setting_advice(name)
    of_settings = setting and f"it is a setting of TRL's, and here: {setting}"
    return REFUSED_ARGUMENTS.get(name) or (of_settings if name not in SAME_ARGUMENTS else "")


def setting_advice(name: str) -> str:
    """Say what to do instead of a setting of TRL's; "" for a name that is none."""
    if name == NUM_GENERATIONS:
        return f"write {', '.join(PLAN)}"
    ours = ACCEPTED_SETTINGS.get(name)
    return f"write {ours}" if ours else REFUSED_SETTINGS.get(name, "")


def renamed(
    given: Mapping[str, Any], accepted: Mapping[str, str], known: Mapping[str, Any]
) -> tuple[dict[str, Any], list[InputError]]:
    """Replace accepted names by ours.

    Args:
        accepted: TRL's name → ours.
        known: what is given under our names.

    Returns:
        What was given, under our names, and an error for each thing that is given twice.
    """
    found = dict(given)
    problems: list[InputError] = []
    for theirs, ours in accepted.items():
        if theirs not in found:
            continue
        value = found.pop(theirs)
        if known.get(ours) is not None:
            why = f"{theirs} is TRL's name for {ours}, and both are given"
            problems.append(RecipeError(f"{theirs} and {ours}", why, f"give {ours} alone"))
        else:
            found[ours] = value
    return found, problems


def renamed_settings(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[InputError]]:
    """Replace TRL's settings by ours where they mean the same; errors for what they do not."""
    found, problems = renamed(given, ACCEPTED_SETTINGS, given)
    if NUM_GENERATIONS in found:
        problems += _undivided(found.pop(NUM_GENERATIONS), {**PLAN, **found})
    return found, problems


def _undivided(count: Any, plan: Mapping[str, Any]) -> list[InputError]:
    """Tell how to divide `num_generations` where it is not what the plan adds up to."""
    if all(isinstance(plan[name], int) for name in PLAN) and count == sum(map(plan.get, PLAN)):  # type: ignore[arg-type]
        return []
    size = count if isinstance(count, int) and count > 2 else sum(PLAN.values())
    negative = plain = max(1, size // 4)
    parts = f"positive_samples={size - negative - plain}, negative_samples={negative}, "
    why = "answers are drawn under a positive, a negative and no prompt, and it does not say which"
    fix = f"divide it, e.g. {parts}plain_samples={plain}"
    return [RecipeError(f"{NUM_GENERATIONS}={count!r}", why, fix)]
