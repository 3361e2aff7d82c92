"""A sequence-classification reward model from preference pairs.

Bradley–Terry: the loss of a pair is −log σ(r(chosen) − r(rejected)). The model starts from
a causal language model's weights with a new one-score head.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import softplus
from torch.utils.data import Sampler
from transformers import (
    AutoModelForSequenceClassification,
    TrainingArguments,
    set_seed,
)

from neat_align import defaults
from neat_align.data import Preference
from neat_align.errors import DataError
from neat_align.models import load_tokenizer, load_weights
from neat_align.pretraining.batches import SimilarLength
from neat_align.provenance.models import model_content
from neat_align.scoring.reward_text import CONVERSATION, MARK, ConversationRows
from neat_align.storage.atomic import atomic_directory
from neat_align.training.checkpoints import (
    INTERVAL,
    SealedCheckpoints,
    train_to_end,
    training_folder,
)
from neat_align.training.precision import Precision, on_one_device

Pair = tuple[list[int], list[int]]
NEW_HEAD: dict[str, Any] = {
    "may_lack": ("score.", "classifier."),
    "may_exceed": ("lm_head.", "embed_out."),
}
"""Weights that a language model lacks as a reward model, and that it has in vain."""


@dataclass(frozen=True)
class RewardModelSettings:
    """Schedule of a reward model's training.

    Attributes:
        max_length: longer texts lose their beginning, in tokens.
        holdout: share of the pairs kept for the reported accuracy.
        center_weight: weight of r̄², which keeps the scores near zero.
    """

    learning_rate: float = defaults.REWARD_LEARNING_RATE
    epochs: float = defaults.REWARD_EPOCHS
    batch_size: int = defaults.REWARD_BATCH_SIZE
    max_length: int = defaults.REWARD_MAX_LENGTH
    holdout: float = defaults.REWARD_HOLDOUT
    seed: int = 0
    weight_decay: float = 0.0
    warmup_ratio: float = 0.05
    center_weight: float = 0.01


@dataclass(frozen=True)
class RewardModelReport:
    """How well a reward model orders pairs: shares, with their counts."""

    accuracy_train: float
    accuracy_heldout: float
    n_train: int
    n_heldout: int
    seconds: float


def train_reward_model(
    source: str | Path,
    preferences: Sequence[Preference],
    output_dir: Path,
    settings: RewardModelSettings,
    precision: Precision | None = None,
) -> RewardModelReport:
    """Train a reward model on `preferences`, and save it with its tokenizer.

    Pairs that share a query are all trained on or all held out.

    Raises:
        DataError: too few pairs to hold any out.
    """
    start = time.perf_counter()
    set_seed(settings.seed)
    train, heldout = _split(preferences, settings)
    tokenizer = load_tokenizer(source)
    conversations = ConversationRows(tokenizer)
    model = load_weights(  # in float32, as all that is trained
        AutoModelForSequenceClassification, source, num_labels=1, **NEW_HEAD
    )
    model.config.get_text_config().pad_token_id = _pad_id(tokenizer)
    setattr(model.config, MARK, CONVERSATION)
    train_rows, heldout_rows = (
        [_encode(p, conversations, settings) for p in part] for part in (train, heldout)
    )
    checkpoints = training_folder(output_dir, model_content(str(source)), settings, train_rows)
    trainer = _RewardTrainer(
        model=model,
        args=_arguments(checkpoints, settings, precision or Precision.of()),
        train_dataset=train_rows,
        data_collator=_Collator(_pad_id(tokenizer)),
    )
    trainer.center_weight = settings.center_weight
    train_to_end(trainer, checkpoints)
    with atomic_directory(output_dir) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return RewardModelReport(
        accuracy_train=_accuracy(trainer, train_rows[: len(heldout_rows)]),
        accuracy_heldout=_accuracy(trainer, heldout_rows),
        n_train=len(train_rows),
        n_heldout=len(heldout_rows),
        seconds=time.perf_counter() - start,
    )


class _RewardTrainer(SealedCheckpoints):
    """Chosen and rejected of a batch in one forward pass, chosen first."""

    center_weight = 0.0

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler:
        lengths = [max(map(len, pair)) for pair in self.train_dataset]
        return SimilarLength(lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Mean over pairs of −log σ(r_chosen − r_rejected), plus the centring term."""
        rewards = model(**inputs).logits[:, 0].float()
        chosen, rejected = rewards.chunk(2)
        return softplus(rejected - chosen).mean() + self.center_weight * rewards.mean() ** 2


class _Collator:
    """Right-pads the chosen, then the rejected texts of a batch."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
        rows = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
        width = max(map(len, rows))
        return {
            "input_ids": torch.tensor([r + [self.pad_id] * (width - len(r)) for r in rows]),
            "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows]),
        }


@torch.no_grad()
def _accuracy(trainer: _RewardTrainer, pairs: Sequence[Pair]) -> float:
    """Share of pairs whose chosen text scores higher."""
    model, right = trainer.model.eval(), 0
    for start in range(0, len(pairs), 64):
        batch = trainer.data_collator(list(pairs[start : start + 64]))
        inputs = {name: tensor.to(trainer.args.device) for name, tensor in batch.items()}
        chosen, rejected = model(**inputs).logits[:, 0].chunk(2)
        right += int((chosen > rejected).sum())
    return right / len(pairs)


def _split(
    preferences: Sequence[Preference], settings: RewardModelSettings
) -> tuple[list[Preference], list[Preference]]:
    ids = sorted({p.query.id for p in preferences})
    random.Random(settings.seed).shuffle(ids)
    held_out = set(ids[: round(settings.holdout * len(ids))])
    train = [p for p in preferences if p.query.id not in held_out]
    heldout = [p for p in preferences if p.query.id in held_out]
    if not train or not heldout:
        raise DataError(
            f"{len(preferences)} preference pairs on {len(ids)} queries",
            f"holding out {settings.holdout:.0%} leaves nothing to train on or nothing to test on",
            "give more pairs, or change holdout",
        )
    return train, heldout


def _encode(
    preference: Preference, conversations: ConversationRows, settings: RewardModelSettings
) -> Pair:
    chosen, rejected = (
        conversations.row(preference.query, text)[-settings.max_length :]
        for text in (preference.chosen, preference.rejected)
    )
    return chosen, rejected


def _pad_id(tokenizer: Any) -> int:
    """A pad id that ends no text: transformers reads the score at the last other token."""
    pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad is not None and pad != eos:
        return int(pad)
    if tokenizer.unk_token_id is not None:
        return int(tokenizer.unk_token_id)
    raise DataError(
        f"the tokenizer of {tokenizer.name_or_path}",
        "its pad token is its EOS token, so the end of a text cannot be told from padding",
        "set tokenizer.pad_token to another token and save it",
    )


def _arguments(
    output_dir: Path, settings: RewardModelSettings, precision: Precision
) -> TrainingArguments:
    args = TrainingArguments(
        output_dir=str(output_dir),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_ratio,
        lr_scheduler_type="linear",
        save_strategy="steps",
        save_steps=INTERVAL,
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        seed=settings.seed,
        dataloader_pin_memory=False,
        **precision.flags,  # type: ignore[arg-type]
    )
    on_one_device(args, precision.device)
    return args
