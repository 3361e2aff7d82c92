"""The engine that a config asks for, once it is known to fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel

from neat_align.errors import InputError, TrainingError
from neat_align.prompts.chat import PromptFormat
from neat_align.training.config import NEATConfig
from neat_align.training.engines.adapter_server import AdapterServer
from neat_align.training.engines.base import Engine
from neat_align.training.engines.sampler import EngineSampler
from neat_align.training.engines.vllm import VLLMEngine
from neat_align.training.sharding import shards_weights


def engine_problems(
    args: NEATConfig, model: Any, accelerator: Any, samples: bool
) -> list[InputError]:
    """Why the engine asked for cannot serve this training.

    Args:
        samples: the policy is sampled from online, by no sampler of the caller's.
    """
    if args.engine is None:
        return []
    given, problems = f"engine={args.engine!r}", list[InputError]()
    if not samples:
        why = "nothing is drawn from the policy: groups are stored, or a sampler was given"
        problems.append(TrainingError(given, why, "leave the engine out, or train on queries"))
    if shards_weights(accelerator):
        why = "each rank holds a part of the weights, which no engine is given"
        problems.append(TrainingError(f"{given} with weights in shards", why, "use DDP or ZeRO-2"))
    if args.engine == "adapter-server" and not isinstance(model, PeftModel):
        why = "only an adapter can be loaded into a running server"
        problems.append(TrainingError(f"{given} without an adapter", why, "give a peft_config"))
    return problems


def engine_sampler(
    args: NEATConfig, model: Any, accelerator: Any, prompt_format: PromptFormat
) -> EngineSampler:
    """Make a sampler on the engine that `args.engine` names."""
    engine: Engine
    if args.engine == "adapter-server":
        directory = Path(str(args.output_dir)) / "adapters"
        engine = AdapterServer(str(args.engine_url), model, accelerator, directory)
    else:
        url, memory = args.engine_url, args.engine_gpu_memory
        engine = VLLMEngine(model, accelerator, prompt_format.tokenizer, url, memory)
    return EngineSampler(engine, model, prompt_format, args.engine_tolerance)
