"""Checkpoints that are whole or not counted, and training that goes on from the last one.

A checkpoint is many files. Once all are written, `SEAL` is added with the size and digest of
each: a folder without it was cut short and is passed over; a sealed one with other content
was damaged later, which is an error.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from neat_align.errors import OutputError
from neat_align.storage.artefacts import damage, record
from neat_align.storage.atomic import atomic_write_json, read_json, writing
from neat_align.storage.interruption import postponed
from neat_align.storage.paths import is_dir
from neat_align.training.callbacks import print_nothing_else

SEAL = "complete.json"
INTERVAL = 0.2  # between two checkpoints of a training from scratch, as a share of its steps
SHOWN = 3  # damaged files named in an error


def checkpoints(directory: Path) -> list[Path]:
    """List the complete checkpoints under `directory`, the oldest first."""
    found = [
        (int(path.name.rpartition("-")[2]), path)
        for path in directory.glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdigit() and (path / SEAL).exists()
    ]
    return [path for _, path in sorted(found)]


def last_checkpoint(directory: Path) -> str | None:
    """Find the newest complete checkpoint under `directory`, None where there is none."""
    found = checkpoints(directory)
    return str(found[-1]) if found else None


def chosen_checkpoint(given: str | Path | bool | None, directory: Path) -> str | None:
    """Find the checkpoint to resume from: the one that is named, or for True the last one.

    Raises:
        OutputError: there is no such directory, or no complete checkpoint.
    """
    if given is True or (isinstance(given, str) and given.lower() == "true"):
        found = last_checkpoint(directory)
        if found is None:
            why = f"there is no complete checkpoint in {directory}"
            raise OutputError("resume_from_checkpoint=True", why, "leave it out to start anew")
        return found
    if not given:
        return None
    if not is_dir(given):
        why = "there is no such directory"
        raise OutputError(f"resume_from_checkpoint={str(given)!r}", why, "check the path")
    return str(given)


def check_checkpoint(folder: Path) -> None:
    """Make sure that a checkpoint is what was written.

    Raises:
        OutputError: it was cut short, or a file of it has changed since.
    """
    given = f"checkpoint {folder}"
    if not (folder / SEAL).exists():
        raise OutputError(
            given, f"it has no {SEAL}: it was not written to its end", "resume from another one"
        )
    wrong = [f"{name}: {why}" for name, why in damage(folder, read_json(folder / SEAL)).items()]
    if wrong:
        raise OutputError(
            given,
            f"{len(wrong)} of its files are not what was written ({'; '.join(wrong[:SHOWN])})",
            "restore it from a copy, or remove the folder: training then goes on from the "
            "checkpoint before it, or from the start",
        )


def _check_resumable(folder: Path) -> None:
    """Make sure that a checkpoint holds more than the model.

    Raises:
        OutputError: it was saved with `save_only_model`, without optimiser, learning rate
            and random state: training from it would be another training.
    """
    state = read_json(folder / "trainer_state.json")
    is_at_end = state["global_step"] >= state["max_steps"]
    if not is_at_end and not any(folder.glob("rng_state*.pth")):
        raise OutputError(
            f"checkpoint {folder}",
            "it holds the model alone (save_only_model): without the optimiser's state and the "
            "random state, training would not go on as it would have",
            f"remove {folder.parent}, and training starts anew; with save_only_model=false later "
            "checkpoints can be resumed from",
        )


def training_folder(output: Path, *content: Any) -> Path:
    """Where a training that ends in `output` keeps its checkpoints.

    A hidden folder beside it, another one for other content (settings, rows), so that a
    training never goes on from the checkpoint of a different one.
    """
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:12]
    return output.with_name(f".{output.name}-training-{digest}")


def train_to_end(trainer: Trainer, folder: Path) -> None:
    """Train, from the last checkpoint in `folder` where there is one.

    A signal to stop is heeded after the current optimiser step, with a checkpoint.

    Raises:
        OutputError: the checkpoint is damaged, or one cannot be written.
    """
    with postponed() as asked:
        trainer.add_callback(_SaveWhen(asked))
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))


class SealedCheckpoints(Trainer):
    """A Trainer whose checkpoints are sealed, and looked at before they are used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        print_nothing_else(self)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Return the Trainer's batches, or none where training is at its end."""
        if self.is_at_end():
            return [], 0
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    def is_at_end(self) -> bool:
        """Whether training had ended where it is resumed: the Trainer would take one more step."""
        ended = self.state.global_step >= self.state.max_steps
        self.control.should_training_stop |= ended
        return self.control.should_training_stop

    def save_beside(self, folder: Path) -> None:
        """Write what a checkpoint holds beside the Trainer's own files; for subclasses."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        # Older ones go when this one is complete, and not, as the Trainer has it, before.
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                if self.args.should_save:
                    (folder / SEAL).unlink(missing_ok=True)
                self.save_beside(folder)
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()  # each rank writes files of its own
        except OutputError:
            shutil.rmtree(folder, ignore_errors=True)  # the space is wanted
            raise
        finally:
            self.args.save_total_limit = limit
        if self.args.should_save:
            atomic_write_json(folder / SEAL, record(folder, [folder]))
            _keep(folder.parent, limit, self.state.best_model_checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        check_checkpoint(Path(resume_from_checkpoint))
        _check_resumable(Path(resume_from_checkpoint))
        super()._load_from_checkpoint(resume_from_checkpoint, model)


def _keep(directory: Path, limit: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints beyond `limit`, but not the best one."""
    for path in checkpoints(directory)[: -limit if limit else 0]:
        if best is None or path != Path(best):
            (path / SEAL).unlink()  # first, so that one killed here is not taken for damaged
            shutil.rmtree(path)


class _SaveWhen(TrainerCallback):
    """Saves and stops after the step in which `asked` became true, on all ranks at once."""

    def __init__(self, asked: Any) -> None:
        self.asked = asked

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        stop = self.asked()
        if args.world_size > 1:  # a signal may reach the ranks in different steps
            flag = torch.tensor(int(stop), device=args.device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            stop = bool(flag)
        if stop:
            control.should_save = control.should_training_stop = True
