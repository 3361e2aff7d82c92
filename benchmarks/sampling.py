"""Drawing responses: our sampler against `model.generate` on repeated prompts.

    python benchmarks/sampling.py --json benchmarks/results/sampling.json

Eight queries under two steering prompts each, four responses to every prompt: 64 responses
to 16 prompts of about 256 tokens. The model's end token has a bias that makes responses 35
tokens long on average, between 1 and 128. The rival is what TRL's trainers call without
vLLM. Under greedy decoding both sides must draw the same tokens; the timed draws are
random, and compared by tokens per second.
"""

from __future__ import annotations

import math
from typing import Any

import common
import torch

from neat_align.sampling.base import Decoding
from neat_align.sampling.draw import Ends, draw_tokens
from neat_align.sampling.shared_prompts import SharedPrompts

PROMPTS, COPIES, LONGEST = 16, 4, 128
EOS = 2
MEAN_LENGTH = 35


def main() -> None:
    """Each dtype."""
    asked = common.arguments(__doc__ or "")
    rows = []
    for dtype in (getattr(torch, name) for name in asked.dtypes.split(",")):
        rows.append(measure(dtype, asked.repeats))
        common.show(rows[-1])
    common.save("sampling", rows, asked)


def measure(dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """One row: tokens per second of both sides, and their ratio."""
    model = ending_model(dtype)
    prompts = make_prompts()
    check_same(model, prompts)
    seeds = iter(range(10**6))
    drawn = {"neat": 0, "generate": 0}

    def ours() -> None:
        chosen = [next(seeds) for _ in prompts]
        rows = draw(model, prompts, chosen, Decoding(LONGEST))
        drawn["neat"] = sum(map(len, rows))

    def theirs() -> None:
        drawn["generate"] = sum(map(len, generate(model, prompts, do_sample=True)))

    rates: dict[str, list[float]] = {"neat": [], "generate": []}
    for name, side in (("neat", ours), ("generate", theirs)) * repeats:
        seconds = common.interleaved({name: side}, 1)[name]
        rates[name].append(drawn[name] / seconds)
    middle = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    return {
        "workload": "A",
        "dtype": str(dtype).removeprefix("torch."),
        "ratio": middle["neat"] / middle["generate"],
        "tokens_per_second": middle,
    }


def ending_model(dtype: torch.dtype, mean_length: int = MEAN_LENGTH) -> Any:
    """Make the training benchmark's model with a bias that lets responses end."""
    model = common.make_model(dtype).eval()
    bias = torch.zeros(common.VOCABULARY, dtype=dtype)
    bias[EOS] = math.log(common.VOCABULARY / (mean_length - 1))
    model.lm_head.bias = torch.nn.Parameter(bias, requires_grad=False)
    model.generation_config.eos_token_id = EOS
    model.generation_config.pad_token_id = 0
    return model


def make_prompts() -> list[list[int]]:
    """Each distinct prompt four times; lengths between 240 and 272."""
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(240, 273, (PROMPTS,), generator=rng).tolist()
    distinct = [torch.randint(3, 30_000, (n,), generator=rng).tolist() for n in lengths]
    return [prompt for prompt in distinct for _ in range(COPIES)]


def draw(
    model: Any, prompts: list[list[int]], seeds: list[int], decoding: Decoding
) -> list[list[int]]:
    """As `TransformersSampler` draws."""
    return draw_tokens(SharedPrompts(model), prompts, seeds, decoding, Ends(frozenset({EOS})))


@torch.no_grad()
def generate(model: Any, prompts: list[list[int]], **how: Any) -> list[list[int]]:
    """`model.generate` on left-padded prompts; the end token counts, padding does not."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    how = {"max_new_tokens": LONGEST, "top_k": 0, **how}
    rows = model.generate(ids, attention_mask=mask, **how)[:, width:].tolist()
    return [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]


def check_same(model: Any, prompts: list[list[int]]) -> None:
    """Greedy decoding gives the same tokens on both sides (in float32, without ties)."""
    if model.dtype != torch.float32:
        return
    few = prompts[::COPIES][:4]
    ours = draw(model, few, [0] * 4, Decoding(16, temperature=0.0))
    theirs = generate(model, few, do_sample=False, max_new_tokens=16, top_k=None)
    assert ours == theirs, "greedy decoding differs"


if __name__ == "__main__":
    main()
