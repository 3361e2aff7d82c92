"""Write docs/metrics.md: every figure that a training logs, and every one of an evaluation.

python scripts/metrics_page.py
"""

from pathlib import Path

from neat_align.report.glossary import evaluation_tables
from neat_align.training.logged import page

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"

if __name__ == "__main__":
    PAGE.write_text(f"{page()}\n{evaluation_tables()}", encoding="utf-8")
