"""Trainers of tiny random models, and what tests read of them."""

import json

import torch

from neat_align.objectives import NEAT
from neat_align.prompts.chat import PromptFormat
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.local import TransformersSampler
from neat_align.sampling.plan import GroupPlan
from neat_align.scoring import RewardFunction, ScorerSet
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer
from tests.conftest import make_llama


def length_reward(completions, **kwargs):
    return [float(len(c)) / 10 for c in completions]


def config(path, **settings):
    return NEATConfig(
        output_dir=str(path),
        **{
            "max_steps": 4,
            "per_device_train_batch_size": 2,
            "learning_rate": 1e-3,
            "max_new_tokens": 6,
            "save_strategy": "no",
            "steering_try_queries": 0,  # random models follow no prompt
            "use_cpu": True,
            "disable_tqdm": True,
            "lr_scheduler_type": "constant",
            **settings,
        },
    )


EXTRA = (
    "sampler", "peft_config", "reward_funcs", "reward_weights", "eval_dataset", "callbacks",
    "reference_model",
)  # fmt: skip
"""Arguments of the trainer; the others are settings."""


def trainer_of(path, tokenizer, steering, dataset, objective=None, model=None, **settings):
    extra = {k: settings.pop(k) for k in EXTRA if k in settings}
    return NEATTrainer(
        model if model is not None else make_llama(tokenizer),
        **{"reward_funcs": length_reward, **extra},
        args=config(path, **settings),
        train_dataset=dataset,
        processing_class=tokenizer,
        objective=objective or NEAT(),
        steering=steering,
    )


def weights(trainer):
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}


def rows(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def stored_groups(tokenizer, queries, steering):
    sampler = TransformersSampler(make_llama(tokenizer), PromptFormat(tokenizer))
    groups = sample_groups(sampler, queries, steering, GroupPlan(0, 2, 2), Decoding(6), seed=0)
    return ScorerSet([RewardFunction(length_reward)]).score(groups)


def assert_same(first, second, **tolerance):
    for name in first:
        torch.testing.assert_close(first[name], second[name], **tolerance)
