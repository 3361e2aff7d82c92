"""Trains with vLLM in the process, on a CPU: python vllm_inside.py MODEL OUTPUT [stale]

Prints the metrics of each step. vLLM's CPU kernels pack the weights so that none can be
loaded later; they are replaced by plain products here, which is what GPUs do.
"""

import sys
from pathlib import Path

import torch
from tests.parallel.vllm_settings import QUERIES, STEERING, config, length_reward

from neat_align.models import load_causal_lm
from neat_align.objectives import NEAT
from neat_align.training.trainer import NEATTrainer


def replace_kernels():
    from vllm.model_executor.layers import utils

    def plain(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = plain
    from vllm.model_executor.layers import vocab_parallel_embedding

    vocab_parallel_embedding.dispatch_cpu_unquantized_gemm = plain


def main(model, output, kind=""):
    replace_kernels()
    if kind == "stale":
        from trl.generation.vllm_generation import VLLMGeneration

        VLLMGeneration.sync_weights = lambda self: None
    trainer = NEATTrainer(
        load_causal_lm(model),
        length_reward,
        config(Path(output), learning_rate=1e-3, engine="vllm"),
        QUERIES,
        objective=NEAT(min_gap=0.0),
        steering=STEERING,
    )
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
