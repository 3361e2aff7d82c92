"""Forward and backward of one group: packed rows against the fastest path TRL has.

    python benchmarks/training.py --json benchmarks/results/training.json

The rival is timed by each way in which the installed TRL computes response log-probs: that
of its A2PO trainer (`logits_to_keep`, selective log-softmax) and the fused LM head of its
DPO, GRPO and KTO trainers. The faster one counts. All sides compute the same log-probs and
the same gradients of the same weighted sum, which is checked first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import common
import torch

from neat_align.models.layout import layout_of
from neat_align.models.layout.base import token_logps
from neat_align.models.layout.padded import padded_rows
from neat_align.models.tokenized import TokenizedGroup

MEMORY = "--memory-of"  # what a process that measures memory is started with
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 6e-2}


def main() -> None:
    """Each workload in each dtype."""
    if sys.argv[1:2] == [MEMORY]:
        print(memory_of(*sys.argv[2:]))
        return
    asked = common.arguments(__doc__ or "")
    common.save("training", common.measured(asked, measure), asked)


def measure(workload: common.Workload, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """One row: times, ratio, share of the peak, memory."""
    model = common.make_model(dtype)
    fused = with_fused_head(common.make_model(dtype))
    group = workload.group(seed=1)
    sides = {
        "neat": lambda: step(model, lambda: neat_logps(model, group)),
        "padded": lambda: step(model, lambda: padded_logps(model, group)),
        "trl_a2po": lambda: step(model, lambda: trl_a2po(model, group)),
    }
    difference = check_same(model, fused, group, TOLERANCE[dtype])
    times = common.interleaved(sides, repeats)
    # On a CPU several times slower than the other: once will do.
    fused_side = {"trl_fused_head": lambda: step(fused, lambda: trl_fused_head(fused, group))}
    times |= common.interleaved(fused_side, 1)
    rival = min(("trl_a2po", "trl_fused_head"), key=times.__getitem__)
    name = str(dtype).removeprefix("torch.")
    memory = {
        side: common.in_fresh_process(__file__, MEMORY, workload.name, name, side)
        for side in ("neat", rival)
    }
    return {
        "workload": workload.name,
        "dtype": str(dtype).removeprefix("torch."),
        "ratio": times[rival] / times["neat"],
        "rival": rival,
        "mfu": common.training_flops(workload) / times["neat"] / common.gemm_peak(dtype),
        "memory_ratio": memory["neat"] / max(memory[rival], 1),
        "seconds": times,
        "floor_seconds": common.training_flops(workload) / common.gemm_peak(dtype),
        "memory_bytes": memory,
        "largest_difference": difference,
    }


def memory_of(workload_name: str, dtype: str, side: str) -> int:
    """Peak bytes of one side above model and gradients, in a process of its own."""
    torch.set_num_threads(1)
    (workload,) = common.chosen(workload_name)
    model, group = common.make_model(getattr(torch, dtype)), workload.group(seed=1)
    if side == "trl_fused_head":
        model = with_fused_head(model)
    logps = {"neat": neat_logps, "trl_a2po": trl_a2po, "trl_fused_head": trl_fused_head}[side]
    return common.memory_above(lambda: step(model, lambda: logps(model, group)))


def step(model: Any, logps: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Run one backward pass of a weighted sum of response log-probs; return the sums [K]."""
    model.zero_grad(set_to_none=False)
    sums = logps()
    weights = torch.linspace(-1, 1, len(sums))
    (sums * weights).sum().backward()
    return sums.detach()


def neat_logps(model: Any, group: TokenizedGroup) -> torch.Tensor:
    return token_logps(model, layout_of(model, 0).rows([group])).sum(-1)


def padded_logps(model: Any, group: TokenizedGroup) -> torch.Tensor:
    return token_logps(model, padded_rows([group], 0)).sum(-1)


def trl_rows(group: TokenizedGroup) -> tuple[torch.Tensor, torch.Tensor, int]:
    """TRL's layout: prompts padded on the left, completions on the right."""
    longest = max(map(len, group.response_ids))
    ids = torch.zeros(len(group.response_ids), len(group.query_ids) + longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, response in enumerate(group.response_ids):
        row = group.query_ids + response
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask, longest


def trl_a2po(model: Any, group: TokenizedGroup) -> torch.Tensor:
    """TRL's own function, called on a stand-in for its trainer."""
    from trl.experimental.a2po.a2po_trainer import A2POTrainer

    ids, mask, longest = trl_rows(group)
    stub = SimpleNamespace(model_kwarg_keys={"logits_to_keep"})
    return A2POTrainer._get_sequence_logps(stub, model, ids, mask, longest)


def with_fused_head(model: Any) -> Any:
    """Prepare a model as TRL's DPO and GRPO trainers do."""
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model)
    return model


def trl_fused_head(model: Any, group: TokenizedGroup) -> torch.Tensor:
    ids, mask, longest = trl_rows(group)
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, : len(group.query_ids)] = -100
    output = model(
        input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True, use_cache=False
    )
    return output.log_probs[:, -longest:].sum(-1)


def check_same(model: Any, fused: Any, group: TokenizedGroup, tolerance: float) -> float:
    """Return the largest relative difference of log-probs and gradients between the sides.

    Raises:
        AssertionError: they did not compute the same.
    """
    found = []
    for side, logps in (
        (model, lambda: trl_a2po(model, group)),
        (model, lambda: neat_logps(model, group)),
        (fused, lambda: trl_fused_head(fused, group)),
    ):
        sums = step(side, logps)
        gradient = torch.cat([p.grad.flatten().float() for p in side.parameters()])
        found.append((sums.float(), gradient.clone()))
    worst = 0.0
    for sums, gradient in found[1:]:
        for own, other in ((sums, found[0][0]), (gradient, found[0][1])):
            worst = max(worst, float((own - other).norm() / other.norm()))
    assert worst < tolerance, f"the sides differ by {worst:.2g}"
    return worst


if __name__ == "__main__":
    main()
