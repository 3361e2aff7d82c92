"""Write the table of transformers' `TrainingArguments` that is read where torch is not."""

from __future__ import annotations

import json
from pathlib import Path

from neat_align.training.trainer_table import FILE, installed_table

TARGET = Path(__file__).parent.parent / "src" / "neat_align" / "training" / FILE

if __name__ == "__main__":
    TARGET.write_text(json.dumps(installed_table(), indent=1) + "\n", encoding="utf-8")
