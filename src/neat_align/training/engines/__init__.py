"""Engines for online sampling: vLLM, or a server that loads each new adapter."""

from neat_align.training.engines.make import engine_problems, engine_sampler
from neat_align.training.engines.sampler import EngineSampler

__all__ = ["EngineSampler", "engine_problems", "engine_sampler"]
