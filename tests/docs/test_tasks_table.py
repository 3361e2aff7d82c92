"""The table of benchmarks in the how-to is what their files declare."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "tasks_table.py"


def test_the_table_is_what_the_tasks_declare():
    script = runpy.run_path(str(SCRIPT))
    page = script["PAGE"].read_text(encoding="utf-8")
    assert "| `strongreject` |" in page
    assert script["page_with_table"](page) == page, "run scripts/tasks_table.py again"
