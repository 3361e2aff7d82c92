"""One whole online step, sampling, scoring and training, by NEATTrainer and by TRL.

    python benchmarks/online_step.py --json benchmarks/results/online_step.json

The rival is TRL's GRPOTrainer, the one stable trainer of its that samples groups. It is
timed as installed, and with its log-probs computed as TRL's A2PO trainer does, which is
faster on a CPU; the faster one counts. Both sides answer the same queries with as many
responses, score them by the same reward model and take one optimiser step with AdamW.
No side needs the reference model: the objective is RRHF here, and GRPO's beta is 0. Ours
reads two prompts for each query, a positive and a negative one.

Each side draws its own responses, so seconds are compared for each response token. Before
that, both sides' log-probs and scores of the same responses are compared.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import common
import sampling
import scoring
import torch
import training
from datasets import Dataset, disable_progress_bars
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import selective_log_softmax

from neat_align.objectives import RRHF
from neat_align.prompts.steering import Steering
from neat_align.scoring.reward_model import RewardModelScorer
from neat_align.training.config import NEATConfig
from neat_align.training.trainer import NEATTrainer

RESPONSES = 64  # in one step
LONGEST = 128
MEAN_LENGTH = 72
STEERING = Steering("bench", ("w11 w12 w13 w14 w15",), ("w21 w22 w23 w24 w25",))


class FastGRPO(GRPOTrainer):
    """GRPOTrainer with A2PO's log-probs; the entropies, which are only logged, are left out."""

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, **_: Any
    ) -> tuple[Any, Any, Any]:
        logits = model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            logits_to_keep=logits_to_keep + 1,
            use_cache=False,
        ).logits[:, :-1]
        logps = selective_log_softmax(logits, input_ids[:, -logits_to_keep:])
        return logps, torch.zeros_like(logps), None


def main() -> None:
    """Each workload in each dtype."""
    asked = common.arguments(__doc__ or "")
    warnings.simplefilter("ignore")
    disable_progress_bars()
    common.save("online_step", common.measured(asked, measure), asked)


def measure(workload: common.Workload, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """One row: seconds per response token of each side, and the ratio."""
    sides: dict[str, Callable[[], float]] = {
        "neat": lambda: neat_step(workload, dtype),
        "trl_grpo": lambda: grpo_step(GRPOTrainer, workload, dtype),
        "trl_grpo_fast_logps": lambda: grpo_step(FastGRPO, workload, dtype),
    }
    check_same(workload, dtype)
    found: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name, side in sides.items():
            if name != "trl_grpo" or repeat == 0:  # several times slower: once will do
                found[name].append(side())
    seconds = {name: sorted(values)[len(values) // 2] for name, values in found.items()}
    rival = min(("trl_grpo", "trl_grpo_fast_logps"), key=seconds.__getitem__)
    return {
        "workload": workload.name,
        "dtype": str(dtype).removeprefix("torch."),
        "ratio": seconds[rival] / seconds["neat"],
        "rival": rival,
        "seconds_per_token": seconds,
    }


def check_same(workload: common.Workload, dtype: torch.dtype) -> None:
    """Both sides' log-probs, gradients and scores of one group."""
    group = workload.group(seed=3)
    model = common.make_model(dtype)
    fused = training.with_fused_head(common.make_model(dtype))
    training.check_same(model, fused, group, training.TOLERANCE[dtype])
    rewards = scoring.make_reward_model(dtype)
    with torch.no_grad():
        difference = scoring.packed(rewards, group) - scoring.padded(rewards, group)
    assert float(difference.abs().max()) < scoring.TOLERANCE[dtype]


def neat_step(workload: common.Workload, dtype: torch.dtype) -> float:
    """Process seconds of one step, for each response token."""
    half = len(workload.responses) // 2
    queries = make_queries(workload)
    with tempfile.TemporaryDirectory() as folder:
        args = NEATConfig(
            **shared_arguments(folder),
            per_device_train_batch_size=len(queries),
            positive_samples=half,
            negative_samples=half,
            max_new_tokens=LONGEST,
            sampling_batch_size=RESPONSES,
            negative_context=0.0,
            steering_try_queries=0,
        )
        trainer = NEATTrainer(
            sampling.ending_model(dtype, MEAN_LENGTH),
            RewardModelScorer(scoring.make_reward_model(dtype), tokenizer()),
            args,
            train_dataset=[{"prompt": q} for q in queries],
            processing_class=tokenizer(),
            objective=RRHF(),
            steering=STEERING,
        )
        seconds = timed(trainer.train)
        return seconds / trainer.stopwatch.total_tokens["sampling"]


def grpo_step(kind: type, workload: common.Workload, dtype: torch.dtype) -> float:
    """Process seconds of one step, for each response token."""
    queries = make_queries(workload)
    size = len(workload.responses)
    drawn: list[int] = []
    rewards = scoring.make_reward_model(dtype)

    def score(prompts: Any, completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        drawn.extend(map(len, completion_ids))
        ids = tokenizer()
        prefix = [ids(p)["input_ids"] for p in prompts]
        scores: list[float] = []
        for start in range(0, len(prefix), size):
            rows = [
                prefix[i] + completion_ids[i] for i in range(start, min(start + size, len(prefix)))
            ]
            with torch.no_grad():
                scores += scoring.padded_rows(rewards, rows).tolist()
        return scores

    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            **shared_arguments(folder),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=RESPONSES // size,
            num_generations=size,
            max_completion_length=LONGEST,
            temperature=1.0,
            top_k=0,
            beta=0.0,
            gradient_checkpointing=False,
            shuffle_dataset=False,
        )
        trainer = kind(
            sampling.ending_model(dtype, MEAN_LENGTH),
            reward_funcs=score,
            args=args,
            train_dataset=Dataset.from_list([{"prompt": q} for q in queries]),
            processing_class=tokenizer(),
            objective=RRHF(),
            steering=STEERING,
        )
        seconds = timed(trainer.train)
        assert len(drawn) == RESPONSES
        return seconds / sum(drawn)


def shared_arguments(folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "max_steps": 1,
        "learning_rate": 1e-6,
        "optim": "adamw_torch_fused",
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1,
    }


def make_queries(workload: common.Workload) -> list[str]:
    """As many as make `RESPONSES` responses, each of the workload's length in tokens."""
    rng = torch.Generator().manual_seed(5)
    count = RESPONSES // len(workload.responses)
    return [
        " ".join(f"w{i}" for i in torch.randint(3, 30_000, (workload.query,), generator=rng))
        for _ in range(count)
    ]


def tokenizer() -> Any:
    """One token per word."""
    words = {"<pad>": 0, "<unk>": 1, "<eos>": sampling.EOS}
    words |= {f"w{i}": i for i in range(3, common.VOCABULARY)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )


def timed(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
