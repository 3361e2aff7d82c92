"""Write the README's table of the demo from its evaluation.

make demo
python scripts/demo_table.py runs/demo
"""

import json
import sys
from pathlib import Path

from neat_align.report.card import figure_lines

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- demo-table:begin -->", "<!-- demo-table:end -->"
SHOWN = (
    "breaks_rule breaks_rule_under_seen_negative breaks_rule_under_unseen_negative kl distinct_2"
)


def main() -> None:
    """Put the figures of base, prompted base and policy between the markers."""
    run = Path(sys.argv[1])
    results = json.loads((run / "evaluation.json").read_text())
    seed = json.loads((run / "results.json").read_text())["seed"]
    *table, _, _ = figure_lines(results, "neat", ("base", "prompt"), SHOWN)
    told = (
        f"Test requests, seed {seed}, 95 % intervals in brackets; *prompt* is the base told so by "
        "a system prompt. Written by `scripts/demo_table.py`."
    )
    path = ROOT / "README.md"
    head, _, rest = path.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    path.write_text(head + "\n".join([BEGIN, *table, "", f"{told} {END}"]) + tail)


if __name__ == "__main__":
    main()
