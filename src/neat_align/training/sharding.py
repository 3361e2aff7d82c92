"""Training with weights in shards: FSDP2 and DeepSpeed ZeRO-3.

Each rank holds a part of every weight, and a forward pass gathers them layer by layer, which
all ranks must do together. In sampling they cannot: each rank draws as many tokens as its own
responses have. So sampling, and whatever else runs on one rank alone, uses gathered weights.
In training, all ranks run the same number of passes, some of them with weight 0.

FSDP2's gathering is tested on CPUs; ZeRO-3 has not been run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule

from neat_align.errors import InputError, TrainingError
from neat_align.training.batches import TrainingPass

ZERO_3 = 3


def shards_weights(accelerator: Any) -> bool:
    """Tell whether each rank holds only a part of the weights."""
    kind = accelerator.distributed_type
    if kind == DistributedType.DEEPSPEED:
        return bool(accelerator.state.deepspeed_plugin.zero_stage == ZERO_3)
    return bool(kind == DistributedType.FSDP)


def sharding_problems(accelerator: Any, has_adapter: bool) -> list[InputError]:
    """Refuse what of sharded training is not served."""
    problems: list[InputError] = []
    if not shards_weights(accelerator):
        return problems
    if accelerator.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
        problems.append(
            TrainingError(
                "FSDP in its first version",
                "its flattened weights cannot be gathered for sampling as a whole",
                "set fsdp_version: 2 (`neat launch show fsdp2`)",
            )
        )
    if has_adapter:
        problems.append(
            TrainingError(
                "an adapter and weights in shards",
                "it could not be merged into the policy in the end",
                "use DDP or ZeRO-2 (adapters need little memory), or train all weights",
            )
        )
    return problems


@contextlib.contextmanager
def whole_weights(model: torch.nn.Module) -> Iterator[None]:
    """Gather all weights on each rank within the block, for forward passes of its own.

    Every rank must enter and leave it. A model that is not sharded is left alone.
    """
    if any(hasattr(p, "ds_id") for p in model.parameters()):
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(model.parameters())):
            yield
        return
    sharded = [m for m in model.modules() if isinstance(m, FSDPModule)]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in sharded:
            # FSDP2's own default: only the root keeps its weights between passes.
            module.set_reshard_after_forward(module is not model, recurse=False)
            module.reshard()


def with_idle_passes(accelerator: Any, passes: list[TrainingPass]) -> list[TrainingPass]:
    """Add idle passes to a micro-batch's, up to the number that the busiest rank has."""
    own = torch.tensor(len(passes), device=accelerator.device)
    missing = int(accelerator.gather(own).max()) - len(passes)
    return [passes[0].idle()] * missing + passes
