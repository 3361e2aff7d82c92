"""Finding the checkpoint to resume from."""

from __future__ import annotations

from pathlib import Path

COMPLETE = "trainer_state.json"


def last_checkpoint(directory: Path) -> str | None:
    """The newest complete checkpoint under `directory`, None where there is none.

    The trainer's state is the last of the Trainer's own files to be written; a folder
    without it was cut short and is passed over.
    """
    found = [
        (int(path.name.rpartition("-")[2]), path)
        for path in directory.glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdigit() and (path / COMPLETE).exists()
    ]
    return str(max(found)[1]) if found else None
