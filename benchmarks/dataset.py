"""The expanded data set in parts: seconds, memory and disk as the queries grow to a million.

    python benchmarks/dataset.py --json benchmarks/results/dataset.json

What `neat sample`, `neat score`, `neat dataset stats` and `neat dataset export` do, with
scripted answers and a reward function, so that nothing but the data path is measured: four
responses of about 40 words a query. Each step has a process of its own, one after the other;
memory is the most that was held above the start, without pages of files, which the system
takes back when it needs them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common

SIZES = (10_000, 100_000, 1_000_000)
STEPS = ("sample", "score", "stats", "export")
INTERVAL = 0.1  # seconds between two looks at the memory


def main() -> None:
    """Measure each size and step, one row each."""
    if sys.argv[1:2] and sys.argv[1] in STEPS:
        print(json.dumps(measured(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
        return
    asked = common.arguments(__doc__ or "")
    rows = [row for size in SIZES for row in rows_of(size)]
    for row in rows:
        common.show(row)
    common.save("dataset", rows, asked)


def rows_of(size: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            done = subprocess.run(
                [sys.executable, __file__, step, str(size), folder],
                capture_output=True,
                text=True,
                check=True,
            )
            yield {
                "workload": f"{step} {size}",
                "step": step,
                "queries": size,
                **json.loads(done.stdout.splitlines()[-1]),
            }


def measured(step: str, size: int, folder: Path) -> dict[str, float]:
    """Seconds of this process, bytes of memory above its start, bytes on disk afterwards."""
    work = prepared(step, size, folder)
    start, before = time.process_time(), anonymous_bytes()
    with Watch() as watch:
        written = work()
    return {
        "seconds": time.process_time() - start,
        "memory_bytes": max(0, watch.most - before),
        "disk_bytes": sum(p.stat().st_size for p in written.rglob("*.parquet")),
    }


def prepared(step: str, size: int, folder: Path) -> Any:
    """Return the step as a function without arguments, with everything imported."""
    import pyarrow.parquet  # noqa: F401

    from neat_align.data import read_groups
    from neat_align.data.groups.flags import Filter
    from neat_align.data.groups.hub import export_groups
    from neat_align.data.groups.shards import Shard, write_shard
    from neat_align.data.groups.stats import group_stats
    from neat_align.prompts.steering import Steering
    from neat_align.sampling.base import Decoding
    from neat_align.sampling.groups import sample_groups
    from neat_align.sampling.plan import GroupPlan
    from neat_align.sampling.scripted import ScriptedSampler
    from neat_align.scoring import RewardFunction, ScorerSet
    from neat_align.types import Query
    from neat_align.workflow.groups_target import GroupsTarget

    steering = Steering.named("harmless")
    sampler = ScriptedSampler(lambda request: words(request.seed, 40))
    scorers = ScorerSet([RewardFunction(lambda completions, **_: [*map(len, completions)])])
    groups, scored = folder / "groups", folder / "scored"

    def sample() -> Path:
        queries = (Query.from_text(words(i, 20)) for i in range(size))
        groups.mkdir()
        write_shard(
            queries,
            Shard(),
            groups,
            lambda part: sample_groups(sampler, part, steering, GroupPlan(0, 2, 2), Decoding(), 0),
        )
        return groups

    def score() -> Path:
        scored.mkdir()
        GroupsTarget(scored, Shard()).write_groups(
            groups, lambda part: Filter()(scorers.score(part))
        )
        return scored

    def stats() -> Path:
        assert group_stats(read_groups(scored))["groups"] == size
        return scored

    def export() -> Path:
        assert export_groups(scored, folder / "exported") == size
        return folder / "exported"

    return {"sample": sample, "score": score, "stats": stats, "export": export}[step]


def words(seed: int, count: int) -> str:
    """Pseudo-random words, so that nothing compresses better than text does."""
    found, state = [], seed * 2654435761 % 2**32 + 1
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        found.append(f"w{state >> 17}")
    return " ".join(found)


def anonymous_bytes() -> int:
    """Return the process's memory that is no page of a file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell RssAnon")


class Watch:
    """`most`: the most that `anonymous_bytes` was within the block."""

    def __enter__(self) -> Watch:
        self.most, self.done = 0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    def _look(self) -> None:
        while True:
            self.most = max(self.most, anonymous_bytes())
            if self.done.wait(INTERVAL):
                return


if __name__ == "__main__":
    main()
