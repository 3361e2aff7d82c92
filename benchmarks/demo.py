"""The demo with the fast paths and without them: seconds of each stage.

    python benchmarks/demo.py --threads 2 --json benchmarks/results/demo.json

Without them every response is a row of its own and each row copies its prompt's cache, as
for a model that cannot be packed. Both sides run the whole demo, from the training of the
base model to the report, in a process each, one after the other. Two rounding errors apart
they compute the same, but what is sampled depends on the last bit, so their policies differ.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common

RUN = "--run"  # what a process that runs the demo is started with
SIDES = ("neat", "portable")


def main() -> None:
    """Both sides, and the ratio of their stages."""
    if sys.argv[1:2] == [RUN]:
        print(json.dumps(run(sys.argv[2])))
        return
    asked = common.arguments(__doc__ or "")
    seconds = {side: in_own_process(side, asked.threads) for side in SIDES}
    rows = [
        {
            "workload": stage,
            "dtype": "float32",
            "ratio": seconds["portable"][stage] / seconds["neat"][stage],
            "seconds": {side: seconds[side][stage] for side in SIDES},
        }
        for stage in seconds["neat"]
    ]
    for row in rows:
        common.show(row)
    common.save("demo", rows, asked)


def in_own_process(side: str, threads: int) -> dict[str, float]:
    """Seconds of each stage."""
    command = ["env", f"OMP_NUM_THREADS={threads}", sys.executable, __file__, RUN, side]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(side: str) -> dict[str, float]:
    """Run the demo in this process; time its stages and the training's phases."""
    from neat_align.models.layout import packable
    from neat_align.storage.runs import RunDirectory
    from neat_align.study.demo import run_demo

    if side == "portable":
        without: Any = lambda config: "switched off for a benchmark"  # noqa: E731
        packable._obstacle = without
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_demo(Path(folder) / "demo")
        total = time.perf_counter() - start
        stages = RunDirectory(Path(folder) / "demo").stages()
    found = {name.partition(" ")[0]: info["seconds"] for name, info in stages.items()}
    phases = {f"train: {phase}": s for phase, s in stages["train"]["phases"].items()}
    return {**found, **phases, "whole demo": total}


if __name__ == "__main__":
    main()
