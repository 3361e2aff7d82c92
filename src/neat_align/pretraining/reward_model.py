"""Train a reward model on preference pairs.

Bradley–Terry: the loss of a pair is −log σ(r(chosen) − r(rejected)). The model starts from
a causal language model's weights, with a new head of one score.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import softplus
from transformers import AutoModelForSequenceClassification, set_seed

from neat_align import defaults
from neat_align.data import Preference
from neat_align.errors import DataError
from neat_align.models import load_tokenizer, load_weights
from neat_align.pretraining.trainer import SmallTrainer, small_arguments, train_and_save
from neat_align.provenance.models import model_content
from neat_align.scoring.reward_text import CONVERSATION, MARK, ConversationRows
from neat_align.training.adapters import lora_config, with_adapter
from neat_align.training.checkpoints import training_folder
from neat_align.training.precision import Precision

Pair = tuple[list[int], list[int]]
"""Token ids of a chosen and of a rejected conversation."""
NEW_HEAD: dict[str, Any] = {
    "may_lack": ("score.", "classifier."),
    "may_exceed": ("lm_head.", "embed_out."),
}
"""Weights that a language model lacks as a reward model, and those it does not need as one."""


@dataclass(frozen=True)
class RewardModelSettings:
    """Schedule of a reward model's training.

    Attributes:
        max_length: longer texts lose their beginning, in tokens.
        holdout: share of the pairs kept for the reported accuracy.
        center_weight: weight of r̄², which keeps the scores near zero.
        lora: adapters to train instead of all weights, as in a recipe's `train.lora`.
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
    lora: Mapping[str, Any] | None = None


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
    parts = split_by_query(preferences, settings)
    tokenizer = load_tokenizer(source)
    encode = partial(_encode, ConversationRows(tokenizer), settings.max_length)
    pad_id, adapter = _pad_id(tokenizer), lora_config(settings.lora, "SEQ_CLS")
    model, _ = with_adapter(_with_new_head(source, tokenizer), adapter, settings.seed)
    train, heldout = ([encode(preference) for preference in part] for part in parts)
    trainer = RewardTrainer(
        lengths=[max(map(len, pair)) for pair in train],
        model=model,
        args=small_arguments(
            training_folder(output_dir, model_content(str(source)), settings, train),
            precision or Precision.of(),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=settings.warmup_ratio,
            lr_scheduler_type="linear",
            seed=settings.seed,
        ),
        train_dataset=train,
        data_collator=partial(pad_pairs, pad_id=pad_id),
    )
    trainer.center_weight = settings.center_weight
    train_and_save(trainer, tokenizer, output_dir)
    return RewardModelReport(
        accuracy_train=trainer.accuracy(train[: len(heldout)]),
        accuracy_heldout=trainer.accuracy(heldout),
        n_train=len(train),
        n_heldout=len(heldout),
        seconds=time.perf_counter() - start,
    )


class RewardTrainer(SmallTrainer):
    """The Bradley–Terry loss, with chosen and rejected texts in one forward pass."""

    center_weight = 0.0
    data_collator: Callable[[Sequence[Pair]], dict[str, torch.Tensor]]

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the mean over pairs of −log σ(r_chosen − r_rejected), plus the centring term.

        Args:
            model: the reward model.
            inputs: as `pad_pairs` makes them.
        """
        rewards = model(**inputs).logits[:, 0].float()
        chosen, rejected = rewards.chunk(2)
        return softplus(rejected - chosen).mean() + self.center_weight * rewards.mean() ** 2

    @torch.no_grad()
    def accuracy(self, pairs: Sequence[Pair]) -> float:
        """Return the share of pairs whose chosen text scores higher."""
        model, right = self.model.eval(), 0
        for start in range(0, len(pairs), 64):
            batch = self.data_collator(pairs[start : start + 64])
            inputs = {name: tensor.to(self.args.device) for name, tensor in batch.items()}
            chosen, rejected = model(**inputs).logits[:, 0].chunk(2)
            right += int((chosen > rejected).sum())
        return right / len(pairs)


def pad_pairs(pairs: Sequence[Pair], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad the chosen, then the rejected texts of P pairs on the right.

    Returns:
        `input_ids` and `attention_mask`, [2P, L] each.
    """
    rows = [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs]
    width = max(map(len, rows))
    return {
        "input_ids": torch.tensor([r + [pad_id] * (width - len(r)) for r in rows]),
        "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows]),
    }


def split_by_query(
    preferences: Sequence[Preference], settings: RewardModelSettings
) -> tuple[list[Preference], list[Preference]]:
    """Split pairs into those to train on and those held out, without sharing a query.

    Raises:
        DataError: one of the two parts would be empty.
    """
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


def _encode(conversations: ConversationRows, max_length: int, preference: Preference) -> Pair:
    chosen, rejected = (
        conversations.row(preference.query, text)[-max_length:]
        for text in (preference.chosen, preference.rejected)
    )
    return chosen, rejected


def _with_new_head(source: str | Path, tokenizer: Any) -> Any:
    """Load a language model as a classifier of one score, in float32, to be trained."""
    model = load_weights(AutoModelForSequenceClassification, source, num_labels=1, **NEW_HEAD)
    model.config.get_text_config().pad_token_id = _pad_id(tokenizer)
    setattr(model.config, MARK, CONVERSATION)
    return model


def _pad_id(tokenizer: Any) -> int:
    """Choose a pad id that ends no text: the score is read at the last token that is not it."""
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
