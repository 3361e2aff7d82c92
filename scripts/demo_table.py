"""Write the README's table of the demo from its evaluations, one per seed.

for SEED in 0 1 2; do make demo SEED=$SEED OUTPUT=runs/demo-$SEED; done
python scripts/demo_table.py runs/demo-0 runs/demo-1 runs/demo-2
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neat_align.report.card import figure_lines
from neat_align.study.over_seeds import SeedResult, over_seeds

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- demo-table:begin -->", "<!-- demo-table:end -->"
BESIDE, OURS = ("base", "prompt"), "neat"
SHOWN = ("breaks_rule", "breaks_rule_under_seen_negative", "breaks_rule_under_unseen_negative")
PRICE = ("kl", "ppl_pretrain", "distinct_2")


def main() -> None:
    """Put the figures of base, prompted base and policy between the markers."""
    path = ROOT / "README.md"
    head, _, rest = path.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    table = demo_table([Path(run) for run in sys.argv[1:]])
    path.write_text(head + "\n".join([BEGIN, *table]) + f" {END}" + tail)


def demo_table(runs: Sequence[Path]) -> list[str]:
    """Return the lines of the table, and what is to be known of it."""
    found = [json.loads((run / "evaluation.json").read_text()) for run in runs]
    if len({evaluation["seed"] for evaluation in found}) < len(runs):
        raise SystemExit("two runs have the same seed: name one run for each seed")
    models = {
        name: over_seeds([seed_result(*one, name) for one in zip(runs, found, strict=True)])
        for name in (*BESIDE, OURS)
    }
    tasks = sorted(metric for metric in models[OURS] if "/" in metric)
    *table, _, _ = figure_lines(
        {"models": models}, OURS, BESIDE, " ".join((*SHOWN, *PRICE, *tasks))
    )
    seeds = ", ".join(str(evaluation["seed"]) for evaluation in found)
    over = "queries and seeds" if len(runs) > 1 else "queries"
    told = (
        f"Test requests, seed{'s' * (len(runs) > 1)} {seeds}; 95 % intervals over {over} in "
        "brackets; *prompt* is the base told so by a system prompt. Written by "
        "`scripts/demo_table.py`."
    )
    return [*table, "", told]


def seed_result(run: Path, evaluation: dict[str, Any], model: str) -> SeedResult:
    """Read what one run found of a model."""
    lines = (run / "samples" / f"{model}.jsonl").read_text(encoding="utf-8").splitlines()
    figures = evaluation["models"][model]
    return SeedResult(evaluation["seed"], figures, [json.loads(line) for line in lines])


if __name__ == "__main__":
    main()
