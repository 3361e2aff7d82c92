"""What the tests of several processes launch: trains a tiny model on given queries.

python train_ranks.py DIRECTORY online|offline|adapters GROUPS_A_RANK MAX_TOKENS_PER_PASS

With `online`, the steering is tried before the first step and the policy is evaluated after
the last one; with `adapters`, an adapter is trained on what the server at NEAT_TEST_URL draws.
"""

import os
import sys
from pathlib import Path

import torch
from peft import LoraConfig
from tests.conftest import CHAT_TEMPLATE, make_llama, make_tokenizer

from neat_align.objectives import NEAT
from neat_align.prompts.chat import PromptFormat
from neat_align.prompts.steering import Steering
from neat_align.sampling.base import Decoding
from neat_align.sampling.groups import sample_groups
from neat_align.sampling.local import TransformersSampler
from neat_align.sampling.plan import GroupPlan
from neat_align.scoring import RewardFunction, ScorerSet
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Query

HELD_OUT = ["where is the lamp?", "who mends it?", "why?"]  # no equal share for two ranks
STEERING = Steering("test", ("Be kind.", "Be good."), ("Be mean.", "Be bad."))

SPLIT = {"good_above": 1.3, "resample_groups": 2, "drop_unsplit": True}


def length_reward(completions, **kwargs):
    return [float(len(c)) / 10 for c in completions]


def main(directory, kind, groups_a_rank, max_tokens):
    tokenizer = make_tokenizer(CHAT_TEMPLATE)
    words = ["clean", "polish", "wash", "dry", "move", "paint", "sell", "hide", "mend", "lift"]
    dataset = [Query.from_text("how do I " + " ".join(words[: i + 1])) for i in range(8)]
    if kind == "offline":
        sampler = TransformersSampler(make_llama(tokenizer), PromptFormat(tokenizer))
        groups = sample_groups(sampler, dataset, STEERING, GroupPlan(0, 2, 2), Decoding(9), 0)
        dataset = ScorerSet([RewardFunction(length_reward)]).score(groups)
    engine, lora = {}, None
    if kind == "adapters":
        torch.manual_seed(0)
        engine = {"engine": "adapter-server", "engine_url": os.environ["NEAT_TEST_URL"]}
        lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    args = NEATConfig(
        output_dir=directory,
        max_steps=3,
        per_device_train_batch_size=int(groups_a_rank),
        max_tokens_per_pass=int(max_tokens),
        max_new_tokens=9,
        learning_rate=0.05,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0,
        negative_context=0.5,
        save_strategy="no",
        steering_try_queries=2 if kind == "online" else 0,
        steering_force=kind == "online",  # no verdict on a random model
        **(SPLIT if kind == "online" else {}),
        **({"eval_strategy": "steps", "eval_steps": 3} if kind == "online" else {}),
        processes=int(os.environ.get("NEAT_TEST_PROCESSES", "0")) or None,
        use_cpu=True,
        disable_tqdm=True,
        **engine,
    )
    trainer = NEATTrainer(
        make_llama(tokenizer),
        length_reward,
        args,
        dataset,
        eval_dataset=HELD_OUT if kind == "online" else None,
        processing_class=tokenizer,
        peft_config=lora,
        objective=NEAT(),
        steering=STEERING,
    )
    trainer.train()
    if trainer.is_world_process_zero():
        weights = trainer.accelerator.unwrap_model(trainer.model).state_dict()
        rows = [row for row in trainer.state.log_history if "loss" in row]
        (held_out,) = [row for row in trainer.state.log_history if "eval/loss" in row] or [{}]
        result = {"weights": weights, "rows": rows, "held_out": held_out}
        torch.save(result, Path(directory) / "result.pt")
    os._exit(0)  # the threads of gloo may abort, or block, a process that ends by itself


if __name__ == "__main__":
    main(*sys.argv[1:])
