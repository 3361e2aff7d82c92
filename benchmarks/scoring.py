"""Reward scores of one group: packed rows against K padded texts.

    python benchmarks/scoring.py --json benchmarks/results/scoring.json

The rival is how TRL's online trainers score: a padded batch of full texts through the
sequence classifier. Both sides must find the same scores.
"""

from __future__ import annotations

from typing import Any

import common
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from neat_align.models.layout import layout_of
from neat_align.models.layout.packable import prepare_for_packing
from neat_align.models.tokenized import TokenizedGroup

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 6e-2}


def main() -> None:
    """Each workload in each dtype."""
    asked = common.arguments(__doc__ or "")
    common.save("scoring", common.measured(asked, measure), asked)


@torch.no_grad()
def measure(workload: common.Workload, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """One row: times, ratio, share of the peak."""
    model = make_reward_model(dtype)
    group = workload.group(seed=2)
    sides = {"neat": lambda: packed(model, group), "trl_padded": lambda: padded(model, group)}
    difference = float((packed(model, group) - padded(model, group)).abs().max())
    assert difference < TOLERANCE[dtype], f"the sides differ by {difference:.2g}"
    times = common.interleaved(sides, repeats)
    floor = scoring_flops(workload) / common.gemm_peak(dtype)
    return {
        "workload": workload.name,
        "dtype": str(dtype).removeprefix("torch."),
        "ratio": times["trl_padded"] / times["neat"],
        "mfu": floor / times["neat"],
        "seconds": times,
        "floor_seconds": floor,
        "largest_difference": difference,
    }


def make_reward_model(dtype: torch.dtype) -> Any:
    """Make a random classifier of the size of the training benchmark's model."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=common.VOCABULARY, num_labels=1, pad_token_id=0, **common.SIZES)
    model = LlamaForSequenceClassification(config).to(dtype).eval()
    prepare_for_packing(model)
    return model


def packed(model: Any, group: TokenizedGroup) -> torch.Tensor:
    """As `RewardModelScorer` scores groups."""
    rows = layout_of(model, 0).rows([group])
    hidden = model.model(**rows.forward_arguments(model)).last_hidden_state
    return model.score(hidden[rows.response_row, rows.ends_at])[:, 0].float()


def padded(model: Any, group: TokenizedGroup) -> torch.Tensor:
    """As TRL's online trainers call a reward model."""
    return padded_rows(model, [group.query_ids + ids for ids in group.response_ids])


def padded_rows(model: Any, rows: list[list[int]]) -> torch.Tensor:
    """One score for each row of token ids."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return model(input_ids=ids, attention_mask=mask).logits[:, 0].float()


def scoring_flops(workload: common.Workload) -> float:
    """Count the FLOPs: a third of training's, without the LM head."""
    head = 6 * common.SIZES["hidden_size"] * common.VOCABULARY * sum(workload.responses)
    return (common.training_flops(workload) - head) / 3


if __name__ == "__main__":
    main()
