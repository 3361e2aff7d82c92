"""The settings of `NEATConfig` that a recipe gives elsewhere than in its `train` section."""

from __future__ import annotations

OWNED = {
    "output_dir": "the output directory is given with --output",
    "seed": "write `seed:` at the top level of the recipe",
    "resume_from_checkpoint": "go on with --resume",
    "hub_token": "keep keys out of recipes: run `hf auth login`, or set HF_TOKEN",
    "local_rank": "the launcher sets it",
    "positive_samples": "write `sample: {positive: …}`",
    "negative_samples": "write `sample: {negative: …}`",
    "plain_samples": "write `sample: {plain: …}`",
    "positive_channels": "write `sample: {positive_channels: […]}`",
    "negative_channels": "write `sample: {negative_channels: […]}`",
    "max_new_tokens": "write `sample: {max_new_tokens: …}`",
    "temperature": "write `sample: {temperature: …}`",
    "top_p": "write `sample: {top_p: …}`",
    "top_k": "write `sample: {top_k: …}`",
    "min_p": "write `sample: {min_p: …}`",
    "stop_strings": "write `sample: {stop_strings: […]}`",
    "chat_template_kwargs": "write `model: {path: …, chat_template_kwargs: {…}}`",
    "model_init_kwargs": "write `model: {path: …, dtype: …}`",
    "plausibility": "write `reward: {plausibility: …}`",
    "reward_combine": "write `reward: {combine: …}`",
    "reward_deviations": "write `reward: {deviations: …}`",
    "reward_centres": "write `reward: {centres: […]}`",
    "reward_spreads": "write `reward: {spreads: […]}`",
    "max_dispute": "write `reward: {max_dispute: …}`",
    "sampling_batch_size": "write `sample: {batch_size: …}`",
    "steering_try_queries": "write `steering: {name: …, try_queries: …}`",
    "steering_force": "give --force",
}
"""Fields that another part of the recipe sets, and where."""
