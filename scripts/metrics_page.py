"""Write docs/metrics.md: every figure that a training logs.

python scripts/metrics_page.py
"""

from pathlib import Path

from neat_align.training.logged import page

(Path(__file__).parent.parent / "docs" / "metrics.md").write_text(page(), encoding="utf-8")
