"""Train a model on tokenised rows and save it: what the two small trainings share.

Both are ordinary `transformers.Trainer` runs that can be killed and resumed. A training says
which rows it has, how a batch of them is laid out, and what its loss is.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch.utils.data import Sampler
from transformers import TrainingArguments

from neat_align.storage.atomic import atomic_directory
from neat_align.training.adapters import merged
from neat_align.training.checkpoints import INTERVAL, SealedCheckpoints, train_to_end
from neat_align.training.precision import Precision, on_one_device

STRETCH = 32  # batches sorted together


class SimilarLength(Sampler[int]):
    """Order rows so that those of a batch have similar lengths, and little of it is padding.

    The rows are shuffled, sorted by length within stretches of 32 batches, and the batches of
    a stretch are shuffled.

    Args:
        lengths: one per row.
        batch_size: rows per batch.
        seed: fixes the order, together with the epoch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed}-{self.epoch}")
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        stretch = STRETCH * self.batch_size
        for start in range(0, len(order), stretch):
            part = sorted(order[start : start + stretch], key=self.lengths.__getitem__)
            batches = [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
            rng.shuffle(batches)
            yield from (index for batch in batches for index in batch)


class SmallTrainer(SealedCheckpoints):
    """A Trainer in batches of similar length; a subclass computes the loss.

    Args:
        lengths: one per row of `train_dataset`, in tokens.
        arguments: those of `transformers.Trainer`.
    """

    def __init__(self, *, lengths: Sequence[int], **arguments: Any) -> None:
        self.lengths = lengths
        super().__init__(**arguments)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler:
        return SimilarLength(self.lengths, self.args.train_batch_size, self.args.seed)


def small_arguments(folder: Path, precision: Precision, **schedule: Any) -> TrainingArguments:
    """Make the Trainer's arguments for a small training on one device.

    Args:
        folder: for the checkpoints.
        precision: device and number format.
        schedule: `TrainingArguments` fields: steps or epochs, batch size, rate, seed.
    """
    args = TrainingArguments(
        output_dir=str(folder),
        save_strategy="steps",
        save_steps=INTERVAL,
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        **precision.flags,  # type: ignore[arg-type]
        **schedule,
    )
    on_one_device(args, precision.device)
    return args


def train_and_save(trainer: SmallTrainer, tokenizer: Any, output_dir: Path) -> None:
    """Train to the end, from the last checkpoint if there is one; save model and tokenizer.

    An adapter is merged into its weights.
    """
    checkpoints = Path(str(trainer.args.output_dir))
    train_to_end(trainer, checkpoints)
    model: Any = trainer.model
    if isinstance(model, PeftModel):
        trainer.model = model = merged(model)
    with atomic_directory(output_dir) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
