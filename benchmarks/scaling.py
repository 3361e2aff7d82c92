"""How cost grows: with responses per group, with the query's length, with the data set.

    python benchmarks/scaling.py --json benchmarks/results/scaling.json

The first two are forward and backward of one group, as in `training.py`, with responses of
64 tokens: K from 2 to 32 at a query of 256 tokens, and queries of 64 to 4,096 tokens at
K = 8. The last is the data path alone, from rows on disk to token ids ready for training,
with scripted answers and a reward function: seconds, and the most memory above what the
process held before. Each size of the data set has a process of its own.
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
import online_step
import torch
import training

DATA = "--data-path"  # what a process that runs the data path is started with
RESPONSE = 64
RESPONSES = (2, 4, 8, 16, 32)
QUERIES = (64, 256, 1024, 4096)
SIZES = (100, 1_000, 10_000, 100_000)
STEP = 64  # queries per step


def main() -> None:
    """Make the three tables."""
    if sys.argv[1:2] == [DATA]:
        print(json.dumps(data_path(int(sys.argv[2]))))
        return
    asked = common.arguments(__doc__ or "")
    rows = [data_row(size) for size in SIZES]
    dtype = torch.bfloat16
    model = common.make_model(dtype)
    wanted = [common.Workload(f"K {k}", 256, (RESPONSE,) * k) for k in RESPONSES]
    wanted += [common.Workload(f"query {p}", p, (RESPONSE,) * 8) for p in QUERIES]
    rows += [growth_row(model, workload) for workload in wanted]
    for row in rows:
        common.show(row)
    common.save("scaling", rows, asked)


def growth_row(model: Any, workload: common.Workload) -> dict[str, Any]:
    """Seconds of both sides for one group, after a look at whether they are the same."""
    group = workload.group(seed=4)
    expected = training.trl_a2po(model, group).detach()
    found = training.neat_logps(model, group).detach()
    difference = float((found - expected).float().norm() / expected.float().norm())
    assert difference < training.TOLERANCE[model.dtype], difference
    times = common.interleaved(
        {
            "neat": lambda: training.step(model, lambda: training.neat_logps(model, group)),
            "trl_a2po": lambda: training.step(model, lambda: training.trl_a2po(model, group)),
        },
        repeats=1,
    )
    return {
        "workload": workload.name,
        "dtype": "bfloat16",
        "ratio": times["trl_a2po"] / times["neat"],
        "seconds": times,
        "largest_difference": difference,
    }


def data_row(size: int) -> dict[str, Any]:
    """Seconds and memory of the data path for so many queries."""
    done = subprocess.run(
        [sys.executable, __file__, DATA, str(size)], capture_output=True, text=True, check=True
    )
    return {"workload": f"data {size}", **json.loads(done.stdout.splitlines()[-1])}


def data_path(size: int) -> dict[str, float]:
    """Every query of a data set on disk, sampled by script, scored and tokenised."""
    import psutil
    from datasets import Dataset, disable_progress_bars

    from neat_align.prompts.chat import PromptFormat
    from neat_align.sampling.base import Decoding
    from neat_align.sampling.plan import GroupPlan
    from neat_align.sampling.scripted import ScriptedSampler
    from neat_align.scoring import RewardFunction, ScorerSet
    from neat_align.study.memory import PeakMemory
    from neat_align.training.entries import tokenize_for_training
    from neat_align.training.group_maker import ScoredGroupMaker
    from neat_align.training.records import Records

    disable_progress_bars()
    maker = ScoredGroupMaker(
        policy=ScriptedSampler(lambda request: f"w{request.seed % 30_000 + 3} " * 40),
        base=None,
        scorers=ScorerSet([RewardFunction(lambda completions, **_: [*map(len, completions)])]),
        steering=online_step.STEERING,
        plan=GroupPlan(0, 2, 2),
        decoding=Decoding(),
    )
    prompt_format = PromptFormat(online_step.tokenizer())
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "queries.parquet")
        rows = ({"prompt": " ".join(f"w{i + j + 3}" for j in range(40))} for i in range(size))
        Dataset.from_list(list(rows)).to_parquet(path)
        dataset = Dataset.from_parquet(path, cache_dir=folder, keep_in_memory=False)
        before = psutil.Process().memory_info().rss
        start = time.process_time()
        with PeakMemory() as memory:
            records = Records(dataset)
            for first in range(0, size, STEP):
                queries = [records[i] for i in range(first, min(first + STEP, size))]
                groups = maker.make(queries, seed=0)
                tokenize_for_training(groups, prompt_format, (), 0.0, 0, None)
        seconds = time.process_time() - start
    return {"seconds": seconds, "memory_bytes": max(0, memory.bytes - before)}


if __name__ == "__main__":
    main()
