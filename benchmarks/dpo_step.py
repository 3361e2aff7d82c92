"""Whole DPO steps on given pairs, by NEATTrainer and by TRL's DPOTrainer.

    python benchmarks/dpo_step.py --json benchmarks/results/dpo_step.json

Eight pairs a step, reference included on both sides, the same data in the same order. In
float32 both sides must log the same losses and end with the same weights. TRL is timed as
installed: its fused LM head is slow on a CPU, so the ratio says more about that than
`training.py` does, whose rival is the fastest path TRL has.
"""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

import common
import online_step
import torch
from datasets import Dataset, disable_progress_bars
from trl import DPOConfig, DPOTrainer

from neat_align.objectives import DPO
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer
from neat_align.types import Group, Query, Response, Source

PAIRS, STEPS = 8, 2
RATE = 1e-3


def main() -> None:
    """Each workload in each dtype."""
    asked = common.arguments(__doc__ or "")
    warnings.simplefilter("ignore")
    disable_progress_bars()
    common.save("dpo_step", common.measured(asked, measure), asked)


def measure(workload: common.Workload, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """One row: seconds per step of each side, and how far their weights are apart.

    A run has several steps, and is done once whatever `repeats` says: TRL's takes minutes.
    """
    pairs = make_pairs(workload)
    ours, our_seconds = neat_run(pairs, dtype)
    theirs, their_seconds = trl_run(pairs, dtype)
    difference = apart(ours, theirs)
    assert dtype != torch.float32 or difference < 1e-3, f"the weights differ by {difference:.2g}"
    return {
        "workload": workload.name,
        "dtype": str(dtype).removeprefix("torch."),
        "ratio": their_seconds / our_seconds,
        "rival": "trl_dpo",
        "seconds": {"neat": our_seconds, "trl_dpo": their_seconds},
        "largest_difference": difference,
    }


def neat_run(pairs: list[dict[str, str]], dtype: torch.dtype) -> tuple[Any, float]:
    """Train with our trainer; return the model and the process seconds per step."""
    groups = [
        Group(
            Query.from_text(pair["prompt"]),
            (
                Response(pair["chosen"], Source.PLAIN, score=1.0),
                Response(pair["rejected"], Source.PLAIN, score=0.0),
            ),
        )
        for pair in pairs
    ]
    model = common.make_model(dtype)
    with tempfile.TemporaryDirectory() as folder:
        args = NEATConfig(**arguments(folder), per_device_train_batch_size=PAIRS)
        trainer = NEATTrainer(
            model, args=args, objective=DPO(beta=0.1), train_dataset=groups,
            processing_class=online_step.tokenizer(),
        )  # fmt: skip
        return model, online_step.timed(trainer.train) / STEPS


def trl_run(pairs: list[dict[str, str]], dtype: torch.dtype) -> tuple[Any, float]:
    """Train with TRL; return the model and the process seconds per step."""
    model = common.make_model(dtype)
    tokenizer = online_step.tokenizer()
    rendered = [
        {
            "prompt": f"Human: {pair['prompt']} Assistant:",
            "chosen": f" {pair['chosen']}",
            "rejected": f" {pair['rejected']}",
        }
        for pair in pairs
    ]
    with tempfile.TemporaryDirectory() as folder:
        args = DPOConfig(
            **arguments(folder),
            per_device_train_batch_size=PAIRS // 2,
            gradient_accumulation_steps=2,
            beta=0.1,
            max_length=None,
            gradient_checkpointing=False,
        )
        trainer = DPOTrainer(
            model, common.make_model(dtype), args=args,
            train_dataset=Dataset.from_list(rendered), processing_class=tokenizer,
        )  # fmt: skip
        return model, online_step.timed(trainer.train) / STEPS


def arguments(folder: str) -> dict[str, Any]:
    """Return the online step's workload, at a rate whose steps show in the weights."""
    return {
        **online_step.shared_arguments(folder),
        "max_steps": STEPS,
        "learning_rate": RATE,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0,
    }


def make_pairs(workload: common.Workload) -> list[dict[str, str]]:
    """One step's pairs: every step sees the same ones, whatever the order."""
    rng = torch.Generator().manual_seed(6)

    def words(count: int) -> str:
        return " ".join(f"w{i}" for i in torch.randint(3, 30_000, (count,), generator=rng))

    lengths = list(workload.responses) * PAIRS
    return [
        {
            "prompt": words(workload.query),
            "chosen": words(lengths[2 * i]),
            "rejected": words(lengths[2 * i + 1]),
        }
        for i in range(PAIRS)
    ]


def apart(ours: Any, theirs: Any) -> float:
    """Relative distance of what training changed."""
    start = torch.cat(
        [p.detach().flatten().float() for p in common.make_model(ours.dtype).parameters()]
    )
    moved = [
        torch.cat([p.detach().flatten().float() for p in model.parameters()]) - start
        for model in (ours, theirs)
    ]
    return float((moved[0] - moved[1]).norm() / moved[1].norm())


if __name__ == "__main__":
    main()
